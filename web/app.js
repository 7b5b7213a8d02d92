/*
 * The page: wires the gateway client and the wallet to the document.
 * Text from the gateway reaches the page by textContent only.
 */

import { Gateway, GatewayError } from "./sallyport.js";
import { chooseChain, connect, discoverWallets, signInMessage, signMessage } from "./wallet.js";
import { Minting } from "./mint.js";

const $ = (id) => document.getElementById(id);
const gateway = new Gateway();

const state = {
  session: null,
  wallets: [],           // as they announced themselves
  provider: null,        // the wallet this session was opened with, once known
  character: null,
  chatId: null,
  messages: [],
  abort: null,
};

const minting = new Minting({ gateway, walletOf, complain });

discoverWallets(addWallet);
$("guest").addEventListener("click", guard(enterAsGuest));
$("sign-out").addEventListener("click", guard(signOut));
$("new-chat").addEventListener("click", () => startChat());
$("composer").addEventListener("submit", (event) => { event.preventDefault(); guard(send)(); });
$("stop").addEventListener("click", () => state.abort?.abort());
$("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    $("composer").requestSubmit();
  }
});
guard(start)();


async function start() {
  await show(await gateway.resume());
}

async function show(session) {
  state.session = session;
  $("welcome").hidden = Boolean(session);
  $("studio").hidden = !session;
  $("sign-out").hidden = !session;
  $("account").hidden = !session;
  $("no-wallet").hidden = $("wallets").children.length > 0;
  if (!session) return;

  $("account").textContent = session.wallet ? short(session.wallet) : "Guest";
  $("account").title = session.wallet ?? "";
  await Promise.all([listCharacters(), minting.resume()]);
}


/* Wallets */

function addWallet(wallet) {
  state.wallets.push(wallet);
  const button = element("button", { type: "button" });
  const icon = element("img", { alt: "" });
  if (/^data:image\//.test(wallet.info.icon)) icon.src = wallet.info.icon;
  button.append(icon, wallet.info.name);
  button.addEventListener("click", guard(() => signIn(wallet.provider)));
  $("wallets").append(wrap("li", button));
  $("no-wallet").hidden = true;
}

async function signIn(provider) {
  report("Waiting for the wallet");
  const address = await connect(provider);
  const nonce = await gateway.nonce(address);
  const message = signInMessage(nonce, address, await chooseChain(provider, nonce.chain_ids));
  $("message").textContent = message;
  $("message-preview").hidden = false;
  const signature = await signMessage(provider, address, message);
  state.provider = provider;
  await show(await gateway.verify(message, signature));
  report("Signed in");
}

async function enterAsGuest() {
  await show(await gateway.guest());
  report("Signed in as a guest");
}

/* after a reload the session goes on; the wallet is asked only to sign */
async function walletOf() {
  const { session } = state;
  if (!session.wallet) throw new Error("A guest cannot mint. Sign out and sign in with a wallet.");
  for (const provider of [state.provider, ...state.wallets.map((wallet) => wallet.provider)]) {
    if (provider && await connect(provider) === session.wallet) return { session, provider };
  }
  throw new Error(`Choose the account ${short(session.wallet)} in your wallet.`);
}

async function signOut() {
  state.abort?.abort();
  await gateway.signOut();
  location.reload();
}


/* Characters */

async function listCharacters() {
  const { data } = await gateway.get("/api/v1/characters?limit=100");
  $("characters").replaceChildren(...data.map((character) => {
    const button = element("button", { type: "button" });
    button.dataset.id = character.id;
    button.append(wrap("strong", character.name), wrap("span", character.description));
    button.addEventListener("click", guard(() => choose(character)));
    return wrap("li", button);
  }));
}

async function choose(character) {
  state.abort?.abort();
  state.character = character;
  for (const button of $("characters").querySelectorAll("button")) {
    button.setAttribute("aria-current", String(button.dataset.id === character.id));
  }
  $("chat-title").textContent = character.name;
  for (const id of ["prompt", "send", "new-chat"]) $(id).disabled = false;
  minting.character = character;

  const chats = await gateway.get(`/api/v1/chats?character_id=${character.id}&limit=1`);
  await Promise.all([startChat(chats.data[0]?.id), listMemories()]);
}


/* Chat */

async function startChat(chatId = null) {
  state.chatId = chatId ?? crypto.randomUUID();
  state.messages = [];
  $("log").replaceChildren();
  if (chatId) {
    const { data } = await gateway.get(`/api/v1/chats/${chatId}/messages?limit=50`);
    for (const message of data.reverse()) addMessage(message.role, message.content);
  }
  if (!state.messages.length && state.character.greeting) {
    $("log").append(bubble("assistant", state.character.greeting));
  }
  $("prompt").focus();
}

async function send() {
  const text = $("prompt").value.trim();
  if (!text || state.abort) return;
  $("prompt").value = "";
  addMessage("user", text);

  const reply = bubble("assistant", "");
  reply.classList.add("busy");
  $("log").append(reply);
  busy(true);
  let answer = "";
  try {
    await gateway.chat({
      model: "default",
      messages: state.messages.slice(-40),
      metadata: { character_id: state.character.id, chat_id: state.chatId },
    }, {
      signal: state.abort.signal,
      onStart: (headers) => showRecall(reply, headers.get("x-memory")),
      onText: (piece) => {
        answer += piece;
        reply.firstChild.data = answer;
        $("log").scrollTop = $("log").scrollHeight;
      },
    });
  } catch (error) {
    if (error.name !== "AbortError") {
      reply.classList.add("error");
      if (!answer) reply.firstChild.data = describe(error);
      else complain(error);
    }
  } finally {
    reply.classList.remove("busy");
    if (answer) state.messages.push({ role: "assistant", content: answer });
    else if (!reply.classList.contains("error")) reply.remove();
    busy(false);
  }
  await listMemories();
}

function busy(on) {
  state.abort = on ? new AbortController() : null;
  $("send").hidden = on;
  $("stop").hidden = !on;
  report(on ? `${state.character.name} is writing` : "");
}

function addMessage(role, content) {
  state.messages.push({ role, content });
  $("log").append(bubble(role, content));
  $("log").scrollTop = $("log").scrollHeight;
}

function bubble(role, content) {
  const item = element("li");
  item.className = role;
  item.append(document.createTextNode(content));
  return item;
}


/* Memory */

function showRecall(reply, header) {
  const used = Number(/^used=(\d+)/.exec(header ?? "")?.[1] ?? 0);
  const words = used === 1 ? "1 memory" : `${used} memories`;
  $("recalled").textContent = used
    ? `${words} recalled for the last reply.`
    : header === "late" ? "Memory was too slow for the last reply; it went on without."
      : "Nothing recalled for the last reply.";
  if (used) reply.append(wrap("small", `${words} recalled`));
}

async function listMemories() {
  const { data } = await gateway.get(`/api/v1/memories?character_id=${state.character.id}`);
  $("no-memories").hidden = data.length > 0;
  $("memories").replaceChildren(...data.map((memory) => {
    const forget = element("button", { type: "button", className: "plain", textContent: "Forget" });
    forget.setAttribute("aria-label", `Forget: ${memory.content}`);
    forget.addEventListener("click", guard(async () => {
      await gateway.delete(`/api/v1/memories/${memory.id}`);
      await listMemories();
    }));
    const item = wrap("li", memory.content);
    item.append(forget);
    return item;
  }));
}


/* What the page says */

function report(text) {
  $("status").textContent = text;
}

function describe(error) {
  if (error instanceof GatewayError && error.retryAfter) {
    return `${error.message} Try again in ${error.retryAfter} s.`;
  }
  if (error.code === 4001) return "The wallet declined.";
  return error.message;
}

function complain(error) {
  const notice = $("notice");
  notice.replaceChildren(describe(error));
  if (error.hint) notice.append(wrap("small", error.hint));
  if (error.requestId) notice.append(wrap("small", `Request ${error.requestId}`));
  notice.hidden = false;
  clearTimeout(complain.timer);
  complain.timer = setTimeout(() => { notice.hidden = true; }, 8000);
}

function guard(action) {
  return async (...args) => {
    try {
      return await action(...args);
    } catch (error) {
      report("");
      if (error.status === 401 && state.session) return show(null);
      return complain(error);
    }
  };
}


/* Small tools */

function element(name, properties = {}) {
  return Object.assign(document.createElement(name), properties);
}

function wrap(name, content) {
  const outer = element(name);
  outer.append(content);
  return outer;
}

function short(address) {
  return `${address.slice(0, 6)}…${address.slice(-4)}`;
}
