// The unmodified SDKs, each with each provider's API behind a gateway, and
// straight with a provider that speaks their own: what the fakes say has the
// shapes that SDKs read.  Prints a line of JSON for each cell:
//
//   node matrix.mjs GATEWAY_URL PROVIDER_URL MODEL=DIALECT ...
//
// What a provider says to "fault ..." is told by Sallyport::Provider.

import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI } from "@google/genai";
import OpenAI from "openai";
import { ai, anthropic, google, openaiChat, openaiResponses } from "./matrix_clients.mjs";

const [gateway, provider, ...columns] = process.argv.slice(2);
const key = "sk-test-0123456789abcdef";
const HELLO = "Hello é 😀 \"quoted\"\nend.";
const PIXEL = "iVBORw0KGgo=";
const RESULTS = ["sunny é \"x\"", "noon"];

const openai = (base) => new OpenAI({ apiKey: key, baseURL: `${base}/v1`, maxRetries: 0, timeout: 20000 });
const claude = (base) => new Anthropic({ apiKey: key, baseURL: base, maxRetries: 0, timeout: 20000 });

const clients = {
  "openai, chat": openaiChat(openai(gateway)),
  "openai, responses": openaiResponses(openai(gateway)),
  "@anthropic-ai/sdk": anthropic(claude(gateway)),
  "ai, @ai-sdk/openai, chat": ai("openai.chat", `${gateway}/v1`, key),
  "ai, @ai-sdk/openai, responses": ai("openai.responses", `${gateway}/v1`, key),
  "ai, @ai-sdk/anthropic": ai("anthropic", `${gateway}/v1`, key),
};

/* a provider is asked by who speaks its API, and is not asked to translate */
const oracles = {
  openai: ["openai, chat", openaiChat(openai(provider))],
  anthropic: ["@anthropic-ai/sdk", anthropic(claude(provider))],
  gemini: ["@google/genai", google(new GoogleGenAI({
    apiKey: key, httpOptions: { baseUrl: provider, apiVersion: "v1beta" },
  }))],
};

class Wrong extends Error {}

function expect(got, wanted, what) {
  const [a, b] = [got, wanted].map((v) => JSON.stringify(v));
  if (a !== b) throw new Wrong(`${what}: ${a} in place of ${b}`);
}

const user = (text, more = {}) => ({ text, ...more });

async function said(answer) {
  expect(answer.text, HELLO, "text");
  expect(answer.end, "stop", "how it ended");
  expect(answer.usage[0] > 0, true, "tokens of the input");
  expect(answer.usage[1] > 0, true, "tokens of the output");
}

async function calls(client, model, stream) {
  const asked = user("fault tools", { tools: true, stream });
  const first = await client.ask(model, asked);
  expect(first.text, HELLO, "text before the calls");
  expect(first.calls, [["weather", { at: "Rôme" }], ["now", {}]], "calls");
  expect(first.end, "tools", "how it ended");

  const second = await client.ask(model, { ...asked, after: first, results: RESULTS });
  expect(second.text, RESULTS.join("|"), "what the provider has read as results");
  expect(second.calls, [], "calls of the second answer");
  expect(second.end, "stop", "how the second answer ended");
}

async function raised(client, promise, status) {
  const error = await promise.then(() => null, (e) => e);
  if (!error) throw new Wrong("no error was raised");
  client.isError(error, status, (got, wanted, what) =>
    expect(got, wanted, `${what} of ${error.constructor.name} "${error.message}"`));
}

const statuses = [400, 429, 500];

const cases = {
  plain: async (client, model) => said(await client.ask(model, user("hi"))),

  stream: async (client, model) => {
    const pieces = [];
    const answer = await client.ask(model, user("hi", { stream: true, onText: (piece) => pieces.push(piece) }));
    await said(answer);
    expect(pieces.join(""), HELLO, "pieces");
    expect(pieces.length > 2, true, "more than two pieces");
  },

  tools: async (client, model) => calls(client, model, false),
  "tools, stream": async (client, model) => calls(client, model, true),

  image: async (client, model) => {
    const answer = await client.ask(model, user("fault see", { image: PIXEL }));
    expect(answer.text, `image/png ${PIXEL}`, "what the provider has seen");
  },

  error: async (client, model, direct) => {
    for (const status of statuses) {
      for (const stream of [false, true]) {
        await raised(client, client.ask(model, user(`fault status code=${status}`, { stream })),
          direct || status !== 500 ? status : 502);
      }
    }
  },

  "error, in a stream": async (client, model, direct) => {
    await raised(client, client.ask(model, user("fault error", { stream: true })), null);
    /* a stream that ends too soon: SDKs take the fakes' for whole */
    if (!direct) await raised(client, client.ask(model, user("fault short finish=0", { stream: true })), null);
  },

  abort: async (client, model) => {
    const control = new AbortController();
    let pieces = 0;
    const error = await client.ask(model, user("fault slow delay=20 words=400", {
      stream: true, signal: control.signal, onText: () => { if (++pieces === 3) control.abort(); },
    })).then(() => null, (e) => e);
    expect(pieces >= 3 && pieces < 100, true, `few pieces (${pieces})`);
    if (error && !/abort/i.test(`${error.name} ${error.message}`)) throw error;
  },
};

async function cell(client, name, model, column, what, direct) {
  const problem = await cases[what](client, model, direct).then(() => null, (e) =>
    e instanceof Wrong ? e.message : `${e.constructor.name}: ${e.message} ${e.stack?.split("\n")[1] ?? ""}`);
  console.log(JSON.stringify({ client: name, column, what, problem }));
}

for (const column of columns) {
  const [model, dialect] = column.split("=");
  for (const [name, client] of Object.entries(clients)) {
    for (const what of Object.keys(cases)) await cell(client, name, model, dialect, what, false);
  }
  const [name, client] = oracles[dialect];
  for (const what of Object.keys(cases)) await cell(client, name, "fake", `${dialect} itself`, what, true);
}
