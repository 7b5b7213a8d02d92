// The AI SDK with its OpenAI provider, unmodified: it speaks the Responses API
// by default.  Prints TAP, a line for each case; see openai_responses.mjs.
//
//   node ai_openai.mjs BASE_URL TOKEN

import { createOpenAI } from "@ai-sdk/openai";
import { APICallError, generateText, jsonSchema, Output, stepCountIs, streamText, tool } from "ai";

const [base, token] = process.argv.slice(2);
const openai = createOpenAI({ apiKey: token, baseURL: `${base}/v1` });
const model = openai("default");
const common = { model, maxRetries: 0 };

const HELLO = "Hello é 😀 \"quoted\"\nend.";
const PIXEL = "data:image/png;base64,iVBORw0KGgo=";

let count = 0;
function ok(condition, name, detail) {
  count++;
  console.log(`${condition ? "ok" : "not ok"} ${count} - ${name}`);
  if (!condition && detail !== undefined) console.log(`# ${JSON.stringify(detail)}`);
}

const squeeze = (text) => text.replace(/ +/g, " ");
const caught = (promise) => promise.then(() => null, (e) => e);

const asked = [];
const city = jsonSchema({ type: "object", properties: { city: { type: "string" } } });
const tools = Object.fromEntries(["weather", "time"].map((name) => [name, tool({
  description: `the ${name}`, inputSchema: city,
  execute: async (input) => { asked.push(`${name} ${JSON.stringify(input)}`); return "fine"; },
})]));

/* nothing is stored: items are sent, not their ids */
const providerOptions = { openai: { store: false } };


const plain = await generateText({ ...common, prompt: "hi", system: "be kind" });
ok(squeeze(plain.text) === HELLO && plain.finishReason === "stop", "plain: generateText", plain.text);
ok(plain.usage.inputTokens === 11 && plain.usage.outputTokens > 0, "plain: usage", plain.usage);

const stream = streamText({ ...common, prompt: "hi" });
let text = "";
for await (const piece of stream.textStream) text += piece;
ok(squeeze(text) === HELLO && await stream.finishReason === "stop", "plain: streamText", text);

const seen = await generateText({ ...common, messages: [{ role: "user", content: [
  { type: "text", text: "what is it?" }, { type: "image", image: PIXEL },
] }] });
ok(squeeze(seen.text) === HELLO, "image: generateText", seen.text);

const steps = await generateText({ ...common, prompt: "fault tool", tools, providerOptions, stopWhen: stepCountIs(3) });
ok(asked.join() === 'weather {"city":"Rome"},time {}', "tools: generateText: parallel calls", asked);
ok(squeeze(steps.text) === HELLO && steps.steps.length === 2, "tools: generateText: and the answer", steps.text);
ok(/look/.test(steps.steps[0].reasoningText), "tools: generateText: reasoning", steps.steps[0].reasoningText);

asked.length = 0;
const streamed = streamText({ ...common, prompt: "fault tool", tools, providerOptions, stopWhen: stepCountIs(3) });
const parts = [];
for await (const part of streamed.fullStream) parts.push(part.type);
ok(asked.join() === 'weather {"city":"Rome"},time {}', "tools: streamText: parallel calls", asked);
ok(squeeze(await streamed.text) === HELLO, "tools: streamText: and the answer", parts);
ok(parts.includes("reasoning-delta") && parts.includes("tool-input-delta") && !parts.includes("error"),
  "tools: streamText: in parts", parts);

const typed = await generateText({ ...common, prompt: 'fault echo size=9\n{"city":"Rome"}', output: Output.object({ schema: city }) });
ok(typed.output.city === "Rome", "json schema: an object", typed.text);

for (const [name, extra, status] of [
  ["an unknown model", { model: openai("nope") }, 404],
  ["items by their ids", { tools, prompt: "fault tool", stopWhen: stepCountIs(3) }, 400],
  ["a provider's limit", { prompt: "fault status code=429" }, 429],
  ["a provider that fails", { prompt: "fault status code=500" }, 502],
]) {
  const error = await caught(generateText({ ...common, prompt: "hi", ...extra }));
  ok(APICallError.isInstance(error) && error.statusCode === status && error.data?.error?.code,
    `error: ${name}`, { status: error?.statusCode, message: error?.message });
}

for (const fault of ["cut at=mid", "error"]) {
  const errors = [];
  const broken = streamText({ ...common, prompt: `fault ${fault}`, onError: ({ error }) => errors.push(error) });
  await caught(broken.consumeStream());
  ok(errors.length === 1 && JSON.stringify(errors[0]).includes("provider_"), `error: in a stream, ${fault}`,
    errors.map((e) => JSON.stringify(e)));
}

const abort = new AbortController();
const slow = streamText({ ...common, prompt: "fault slow words=500 delay=20", abortSignal: abort.signal });
let pieces = 0;
await caught((async () => { for await (const _ of slow.textStream) if (++pieces === 3) abort.abort(); })());
ok(pieces >= 3 && pieces < 100, "abort: streamText", pieces);

console.log(`1..${count}`);
