// The unmodified openai, @anthropic-ai/sdk and ai against a gateway whose
// character asks for extras: the text is the text, nothing fails, and who
// looks finds them.  Prints TAP, a line for each case.
//
//   node extras.mjs BASE_URL MODEL CHARACTER

import Anthropic from "@anthropic-ai/sdk";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { streamText } from "ai";
import OpenAI from "openai";

const [base, model, character_id] = process.argv.slice(2);
const told = { emotion: "joy", suggested_actions: ["go on", "stop"] };
const content = `fault echo size=5\nHi there.\n<extras>${JSON.stringify(told)}</extras>`;
const messages = [{ role: "user", content }];
const metadata = { character_id };

let count = 0;
function ok(condition, name, detail) {
  count++;
  console.log(`${condition ? "ok" : "not ok"} ${count} - ${name}`);
  if (!condition && detail !== undefined) console.log(`# ${JSON.stringify(detail)}`);
}
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

const openai = new OpenAI({ apiKey: "none", baseURL: `${base}/v1`, maxRetries: 0 });

let text = "", found = [], last;
for await (const chunk of await openai.chat.completions.create({ model, messages, metadata, stream: true })) {
  text += chunk.choices[0]?.delta?.content ?? "";
  last = chunk.choices[0]?.finish_reason ?? last;
  if (chunk.extras) found.push(chunk.extras);
}
ok(text === "Hi there." && last === "stop", "openai: the text", { text, last });
ok(same(found, [told]), "openai: the extras", found);

const runner = openai.chat.completions.stream({ model, messages, metadata });
const completion = await runner.finalChatCompletion();
ok(completion.choices[0].message.content === "Hi there.", "openai: the helper's message", completion);

const parsed = await openai.responses.stream({ model, input: content, metadata }).finalResponse();
ok(parsed.output_text === "Hi there." && parsed.status === "completed", "openai: the Responses API", parsed);

const anthropic = new Anthropic({ apiKey: "none", baseURL: base, maxRetries: 0 });
const ask = { model, max_tokens: 200, messages, metadata };

found = [];
const stream = anthropic.messages.stream(ask);
stream.on("streamEvent", (event) => { if (event.extras) found.push(event.extras); });
const message = await stream.finalMessage();
ok(message.content.length === 1 && message.content[0].text === "Hi there." && message.stop_reason === "end_turn",
  "@anthropic-ai/sdk: the message", message);
ok(same(found, [told]), "@anthropic-ai/sdk: the extras", found);

// ai has no place for metadata: a fetch of its own puts it in
async function fetcher(url, init) {
  return fetch(url, { ...init, body: JSON.stringify({ ...JSON.parse(init.body), metadata }) });
}

for (const [name, use] of [
  ["chat completions", createOpenAI({ apiKey: "none", baseURL: `${base}/v1`, fetch: fetcher }).chat(model)],
  ["Responses API", createOpenAI({ apiKey: "none", baseURL: `${base}/v1`, fetch: fetcher }).responses(model)],
  ["Messages API", createAnthropic({ apiKey: "none", baseURL: `${base}/v1`, fetch: fetcher })(model)],
]) {
  const errors = [];
  const result = streamText({ model: use, prompt: content, maxRetries: 0, onError: ({ error }) => errors.push(String(error)) });
  const all = await result.text;
  ok(all === "Hi there." && (await result.finishReason) === "stop" && errors.length === 0, `ai: ${name}`, { all, errors });
}

console.log(`1..${count}`);
