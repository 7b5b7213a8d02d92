// The whole tour with unmodified packages: ethers and siwe sign in, the
// openai SDK chats.  Prints TAP.
//
//   node sdk.mjs BASE_URL

import OpenAI from "openai";
import { Wallet } from "ethers";
import { SiweMessage } from "siwe";

const base = process.argv[2];
const MIRA = "00000000-0000-4000-8000-0000000000c1";
const VOSS = "00000000-0000-4000-8000-0000000000c2";

let count = 0;
function ok(condition, name, detail) {
  count++;
  console.log(`${condition ? "ok" : "not ok"} ${count} - ${name}`);
  if (!condition && detail !== undefined) console.log(`# ${JSON.stringify(detail)}`);
}

class Person {
  constructor() {
    this.wallet = Wallet.createRandom();
  }

  async call(method, path, body) {
    const reply = await fetch(base + path, {
      method,
      headers: {
        ...(this.token ? { Authorization: `Bearer ${this.token}` } : {}),
        ...(this.cookie ? { Cookie: this.cookie } : {}),
        ...(body ? { "Content-Type": "application/json", Origin: base } : {}),
      },
      body: body && JSON.stringify(body),
    });
    const cookies = reply.headers.getSetCookie().map((c) => c.split(";")[0]);
    if (cookies.length) this.cookie = cookies.join("; ");
    const text = await reply.text();
    return { status: reply.status, headers: reply.headers, body: text && JSON.parse(text) };
  }

  async signIn() {
    const { body: n } = await this.call("GET", `/auth/nonce?chain=eip155&address=${this.wallet.address}`);
    const message = new SiweMessage({
      domain: n.domain, uri: n.uri, nonce: n.nonce, version: "1", chainId: n.chain_ids[0],
      address: this.wallet.address, statement: n.statement,
      issuedAt: n.issued_at, expirationTime: n.expires_at,
    }).prepareMessage();
    this.last = { message, signature: await this.wallet.signMessage(message) };
    const reply = await this.call("POST", "/auth/verify", this.last);
    this.token = reply.body.access_token;
    this.openai = new OpenAI({ apiKey: this.token, baseURL: `${base}/v1`, maxRetries: 0 });
    return reply;
  }

  say(content, extra = {}) {
    return this.openai.chat.completions.create({
      model: "default",
      messages: [{ role: "user", content }],
      metadata: { character_id: MIRA, chat_id: crypto.randomUUID() },
      ...extra,
    });
  }

  async stream(content, extra = {}) {
    const stream = await this.say(content, { stream: true, ...extra });
    let text = "", finish = null, usage = null, chunks = 0;
    for await (const chunk of stream) {
      chunks++;
      text += chunk.choices[0]?.delta?.content ?? "";
      finish = chunk.choices[0]?.finish_reason ?? finish;
      usage = chunk.usage ?? usage;
    }
    return { text, finish, usage, chunks };
  }
}

/* turns are stored in batches shortly after the reply */
async function eventually(test, ms = 10000) {
  const end = Date.now() + ms;
  for (;;) {
    const result = await test();
    if (result || Date.now() > end) return result;
    /* waits: a poll with a deadline */
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}


const alice = new Person();
const bob = new Person();

const signed = await alice.signIn();
ok(signed.status === 200 && alice.token, "ethers and siwe sign in", signed.body);
const replayed = await alice.call("POST", "/auth/verify", alice.last);
ok(replayed.status === 401, "the same signature does not sign in twice", replayed.body);
await bob.signIn();

const session = await alice.call("GET", "/auth/session");
ok(session.body.wallet === alice.wallet.address, "the session names the wallet", session.body);

const streamed = await alice.stream("Hi! My dog is called Rex.");
ok(streamed.chunks > 2 && streamed.text.length > 0, "openai streams", streamed);
ok(streamed.finish === "stop", "with a finish reason", streamed);
ok(streamed.usage === null, "usage is hidden from who did not ask", streamed);

const asked = await alice.stream("Hello again", { stream_options: { include_usage: true } });
ok(asked.usage?.total_tokens > 0, "and shown to who did", asked);

const whole = await alice.say("Just one sentence, please.");
ok(whole.choices[0].message.content.length > 0, "openai completes without a stream", whole);
ok(whole.usage.total_tokens > 0, "with usage", whole.usage);

const recalled = await eventually(async () => {
  const { text } = await alice.stream("What is my dog called?");
  return /Rex/.test(text) ? text : null;
});
ok(/Rex/.test(recalled ?? ""), "a new chat with the same character recalls Rex", recalled);

const stranger = await bob.stream("What is my dog called?");
ok(!/Rex/.test(stranger.text), "another user's chat does not", stranger);

const other = await alice.stream("What is my dog called?", { metadata: { character_id: VOSS } });
ok(!/Rex/.test(other.text), "nor does another character", other);

const chats = await alice.call("GET", `/api/v1/chats?character_id=${MIRA}`);
ok(chats.body.data.length >= 3, "her chats are listed", chats.body);
const theirs = await bob.call("GET", `/api/v1/chats/${chats.body.data[0].id}/messages`);
ok(theirs.status === 404, "and are hers", theirs.body);

const cut = await alice.say("Tell me a long story.", { stream: true });
for await (const chunk of cut) {
  if (chunk.choices[0]?.delta?.content) { cut.controller.abort(); break; }
}
ok(cut.controller.signal.aborted, "a stream can be stopped");

for (const [name, extra, status] of [
  ["an unknown model", { model: "nope" }, 404],
  ["an unknown character", { metadata: { character_id: crypto.randomUUID() } }, 404],
  ["no messages", { messages: [] }, 400],
]) {
  const error = await alice.say("hi", extra).then(() => null, (e) => e);
  ok(error instanceof OpenAI.APIError && error.status === status, `${name} is the SDK's ${status}`,
    { status: error?.status, message: error?.message });
}

const nobody = new OpenAI({ apiKey: "garbage", baseURL: `${base}/v1`, maxRetries: 0 });
const refused = await nobody.chat.completions.create({ model: "default", messages: [] }).catch((e) => e);
ok(refused instanceof OpenAI.AuthenticationError, "a bad token is the SDK's AuthenticationError", refused?.message);

const renewed = await alice.call("POST", "/auth/refresh", {});
ok(renewed.status === 200 && renewed.body.access_token, "the session is refreshed", renewed.body);
const left = await alice.call("POST", "/auth/logout", {});
ok(left.status === 204 || left.status === 200, "and ended", left.body);
const after = await alice.call("POST", "/auth/refresh", {});
ok(after.status === 401, "for good", after.body);

console.log(`1..${count}`);
