/*
 * The gateway's client: session, JSON calls, streamed chat.  No dependency.
 *
 * The access token lives in this object only; the refresh token is an
 * HttpOnly cookie that scripts never see.  A 401 is retried once after a
 * refresh, and parallel calls share one refresh.
 */

export class GatewayError extends Error {
  constructor(status, body, headers) {
    const error = body?.error ?? {};
    super(error.message ?? `The gateway answered ${status}.`);
    this.status = status;
    this.code = error.code ?? "unknown";
    this.hint = error.hint ?? null;
    this.requestId = error.request_id ?? headers?.get("x-request-id") ?? null;
    this.retryAfter = Number(headers?.get("retry-after")) || null;
  }
}

export class Gateway {
  #access = null;
  #refreshing = null;

  /* resolves to the session, or null when nobody is signed in */
  async resume() {
    try {
      await this.#refresh();
      return await this.get("/auth/session");
    } catch (error) {
      if (error.status === 401) return null;
      throw error;
    }
  }

  nonce(address) {
    return this.get(`/auth/nonce?chain=eip155&address=${encodeURIComponent(address)}`);
  }

  async verify(message, signature) {
    const reply = await this.#send("POST", "/auth/verify", { message, signature });
    this.#access = (await reply.json()).access_token;
    return this.get("/auth/session");
  }

  async guest() {
    const reply = await this.#send("POST", "/auth/guest", {});
    this.#access = (await reply.json()).access_token;
    return this.get("/auth/session");
  }

  async signOut() {
    await this.#send("POST", "/auth/logout", {});
    this.#access = null;
  }

  async get(path) {
    return (await this.#call("GET", path)).json();
  }

  async post(path, body, headers) {
    return (await this.#call("POST", path, body, headers)).json();
  }

  async delete(path) {
    await this.#call("DELETE", path);
  }

  /*
   * Streams a chat completion.  onStart(headers) is called once, onText(piece)
   * for each piece.  A stream that ends without its terminator is an error,
   * never a short answer.
   */
  async chat(request, { signal, onStart, onText }) {
    const reply = await this.#call("POST", "/v1/chat/completions", { ...request, stream: true }, {}, signal);
    onStart(reply.headers);
    for await (const data of events(reply.body)) {
      if (data === "[DONE]") return;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new GatewayError(200, chunk, reply.headers);
      const piece = chunk.choices?.[0]?.delta?.content;
      if (piece) onText(piece);
    }
    throw new GatewayError(200, { error: { code: "stream_cut", message: "The reply was cut off." } }, reply.headers);
  }

  async #refresh() {
    this.#refreshing ??= this.#send("POST", "/auth/refresh", {})
      .then((reply) => reply.json())
      .then((tokens) => { this.#access = tokens.access_token; })
      .finally(() => { this.#refreshing = null; });
    return this.#refreshing;
  }

  async #call(method, path, body, headers, signal) {
    try {
      return await this.#send(method, path, body, headers, signal);
    } catch (error) {
      if (error.status !== 401 || !this.#access) throw error;
      await this.#refresh();
      return this.#send(method, path, body, headers, signal);
    }
  }

  async #send(method, path, body, headers = {}, signal = undefined) {
    const reply = await fetch(path, {
      method,
      signal,
      headers: {
        ...headers,
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...(this.#access ? { Authorization: `Bearer ${this.#access}` } : {}),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (!reply.ok) {
      throw new GatewayError(reply.status, await reply.json().catch(() => null), reply.headers);
    }
    return reply;
  }
}

/* the data of each server-sent event (WHATWG HTML, section 9.2) */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let data = [];
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        if (data.length) yield data.join("\n");
        data = [];
      } else if (line.startsWith("data:")) {
        data.push(line.slice(line[5] === " " ? 6 : 5));
      }
    }
  }
}
