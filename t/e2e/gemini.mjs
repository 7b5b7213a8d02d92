// The fake of Google's API, read by the unmodified @google/genai, and the
// gateway before it, read by the unmodified openai: both have heard the same.
// Prints TAP.
//
//   node gemini.mjs PROVIDER_URL GATEWAY_URL

import { GoogleGenAI } from "@google/genai";
import OpenAI from "openai";

const [provider, gateway] = process.argv.slice(2);
const google = new GoogleGenAI({
  apiKey: "sk-test-0123456789abcdef",
  httpOptions: { baseUrl: provider, apiVersion: "v1beta" },
});
const openai = new OpenAI({ apiKey: "none", baseURL: `${gateway}/v1`, maxRetries: 0 });

let count = 0;
function same(got, expected, name) {
  const [a, b] = [got, expected].map((v) => JSON.stringify(v));
  count++;
  console.log(`${a === b ? "ok" : "not ok"} ${count} - ${name}`);
  if (a !== b) console.log(`# ${a}\n# ${b}`);
}

/* what was heard: text, thoughts, calls, how it ended, tokens */
const silence = () => ({ text: "", thoughts: "", calls: [], end: null, usage: null });
const ends = { STOP: "stop", MAX_TOKENS: "length", SAFETY: "content_filter" };

function hearGoogle(heard, reply) {
  const candidate = reply.candidates?.[0];
  for (const part of candidate?.content?.parts ?? []) {
    if (part.text) heard[part.thought ? "thoughts" : "text"] += part.text;
    if (part.functionCall) {
      heard.calls.push([part.functionCall.name, part.functionCall.args, part.thoughtSignature ?? null]);
    }
  }
  if (candidate?.finishReason) heard.end = ends[candidate.finishReason] ?? candidate.finishReason;
  if (reply.promptFeedback?.blockReason) heard.end = "content_filter";
  const u = reply.usageMetadata;
  if (u) {
    heard.usage = [u.promptTokenCount + (u.toolUsePromptTokenCount ?? 0),
      (u.candidatesTokenCount ?? 0) + (u.thoughtsTokenCount ?? 0)];
  }
}

function hearOpenAI(heard, reply) {
  const choice = reply.choices[0];
  const said = choice?.delta ?? choice?.message ?? {};
  heard.text += said.content ?? "";
  heard.thoughts += said.reasoning_content ?? "";
  for (const call of said.tool_calls ?? []) {
    heard.calls.push([call.function.name, JSON.parse(call.function.arguments),
      call.extra_content?.google.thought_signature ?? null]);
  }
  if (choice?.finish_reason) heard.end = choice.finish_reason;
  if (reply.usage) heard.usage = [reply.usage.prompt_tokens, reply.usage.completion_tokens];
}

async function askGoogle(text, stream) {
  const heard = silence();
  const asked = { model: "gemini-2.5-flash", contents: text };
  try {
    if (!stream) {
      hearGoogle(heard, await google.models.generateContent(asked));
    } else {
      for await (const reply of await google.models.generateContentStream(asked)) hearGoogle(heard, reply);
    }
  } catch (error) {
    heard.error = error.constructor.name;
    heard.status = error.status;
  }
  if (heard.calls.length && heard.end === "stop") heard.end = "tool_calls";
  return heard;
}

async function askOpenAI(text, stream) {
  const heard = silence();
  const asked = { model: "gemini", messages: [{ role: "user", content: text }] };
  try {
    if (!stream) {
      hearOpenAI(heard, await openai.chat.completions.create(asked));
    } else {
      const chunks = await openai.chat.completions.create({
        ...asked, stream: true, stream_options: { include_usage: true },
      });
      for await (const reply of chunks) hearOpenAI(heard, reply);
    }
  } catch (error) {
    heard.error = error.constructor.name;
    heard.status = error.status;
  }
  return heard;
}

for (const stream of [false, true]) {
  const faults = ["hi", "fault tool", "fault calls", "fault block",
    "fault finish reason=MAX_TOKENS", "fault finish reason=SAFETY"];
  if (stream) faults.push("fault bytes", "fault lf", "fault cr", "fault sign size=200000");

  for (const text of faults) {
    const [there, here] = await Promise.all([askGoogle(text, stream), askOpenAI(text, stream)]);
    same(here, there, `${text}${stream ? ", as a stream" : ""}`);
  }
}

/* errors: each SDK raises its own */

for (const [text, stream, statuses] of [
  ["fault status code=429", false, [429, 429]],
  ["fault status code=429", true, [429, 429]],
  ["fault status code=400", true, [400, 400]],
  // in one read with the event before it, the SDK only says that this is no JSON
  ["fault naked", true, [null, undefined]],
  ["fault naked at=0", true, [503, undefined]],
]) {
  const [there, here] = await Promise.all([askGoogle(text, stream), askOpenAI(text, stream)]);
  const name = `${text}${stream ? ", as a stream" : ""}`;
  same(statuses[0] === null ? [Boolean(there.error), null] : [there.error, there.status],
       statuses[0] === null ? [true, null] : ["ApiError", statuses[0]], `${name}: raised by @google/genai`);
  same([Boolean(here.error), here.status], [true, statuses[1]], `${name}: raised by openai`);
}

/* what the SDK asks for, and what the gateway asks for: the same members */

const vectors = await google.models.embedContent({ model: "gemini-embedding-001", contents: ["a", "b"] });
same(vectors.embeddings.map((e) => e.values), [[0.5, -0.5], [0.5, -0.5]], "embeddings");

console.log(`1..${count}`);
