// OpenAI's own SDK with images, speech and transcriptions, unmodified.  Prints TAP, a line for
// each case.  The provider behind the gateway does what the prompt says: see
// t/lib/Sallyport/Media.pm.
//
//   node openai_media.mjs BASE_URL TOKEN

import { createHash } from "node:crypto";
import OpenAI, { toFile } from "openai";

const [base, token] = process.argv.slice(2);
const openai = new OpenAI({ apiKey: token, baseURL: `${base}/v1`, maxRetries: 0 });

let count = 0;
function ok(condition, name, detail) {
  count++;
  console.log(`${condition ? "ok" : "not ok"} ${count} - ${name}`);
  if (!condition && detail !== undefined) console.log(`# ${JSON.stringify(detail)}`);
}

const caught = (promise) => promise.then(() => null, (e) => e);
const audio = Buffer.from(Array.from({ length: 3000 }, (_, i) => i % 256));


const image = await openai.images.generate({ model: "image", prompt: "a cat", n: 2 });
ok(image.data.length === 2 && image.data[0].b64_json === "A".repeat(16), "images.generate", image);
ok(image.usage.output_tokens === 40, "images.generate: usage", image.usage);

const types = [];
for await (const event of await openai.images.generate({ model: "image", prompt: "a cat", stream: true, partial_images: 1 })) {
  types.push(event.type);
}
ok(types.join() === "image_generation.partial_image,image_generation.completed", "images.generate as a stream", types);

let thrown = null;
try {
  for await (const event of await openai.images.generate({ model: "image", prompt: "fault cut", stream: true })) void event;
} catch (e) { thrown = e; }
ok(thrown instanceof OpenAI.APIError && thrown.code === "provider_stream_cut", "a stream that is cut throws", String(thrown));

const speech = await openai.audio.speech.create({ model: "voice", voice: "alloy", input: "hello" });
ok(Buffer.from(await speech.arrayBuffer()).equals(audio), "audio.speech.create");

const streamed = await openai.audio.speech.create({ model: "voice", voice: "alloy", input: "fault chunked" });
const pieces = [];
for await (const piece of streamed.body) pieces.push(piece);
ok(Buffer.concat(pieces).equals(audio), "audio.speech.create, read as it comes", pieces.length);

const sum = createHash("sha256").update(audio).digest("hex");
const file = () => toFile(audio, "hello.mp3", { type: "audio/mpeg" });

const heard = await openai.audio.transcriptions.create({ file: await file(), model: "ear" });
ok(heard.text === sum && heard.usage.seconds === 12, "audio.transcriptions.create", heard);

const verbose = await openai.audio.transcriptions.create({
  model: "ear", file: await file(), response_format: "verbose_json", timestamp_granularities: ["word", "segment"], language: "en", temperature: 0,
});
ok(verbose.text === sum && verbose.segments.length === 1, "audio.transcriptions.create: verbose_json", verbose);

const srt = await openai.audio.transcriptions.create({ file: await file(), model: "ear", response_format: "srt" });
ok(srt === `${sum}\n`, "audio.transcriptions.create: srt", srt);

const large = Buffer.alloc(3_000_000, 7);
const long = await openai.audio.transcriptions.create({ file: await toFile(large, "long.wav"), model: "ear" });
ok(long.text === createHash("sha256").update(large).digest("hex"), "audio.transcriptions.create: a file of 3 MB", long);

let said = "";
let done = null;
for await (const event of await openai.audio.transcriptions.create({ file: await file(), model: "ear", stream: true })) {
  if (event.type === "transcript.text.delta") said += event.delta;
  if (event.type === "transcript.text.done") done = event.text;
}
ok(said === sum && done === sum, "audio.transcriptions.create as a stream", said);

thrown = null;
try {
  for await (const event of await openai.audio.transcriptions.create({ file: await file(), model: "ear", stream: true, prompt: "fault cut" })) void event;
} catch (e) { thrown = e; }
ok(thrown instanceof OpenAI.APIError && thrown.code === "provider_stream_cut", "a transcription that is cut throws", String(thrown));

const translated = await openai.audio.translations.create({ file: await file(), model: "ear" });
ok(translated.text === sum, "audio.translations.create", translated);

for (const [name, call, Type, code, param] of [
  ["an empty file", async () => openai.audio.transcriptions.create({ file: await toFile(Buffer.alloc(0), "a.mp3"), model: "ear" }), OpenAI.BadRequestError, "file_empty", "file"],
  ["an unknown ear", async () => openai.audio.transcriptions.create({ file: await file(), model: "voice" }), OpenAI.NotFoundError, "model_not_found", "model"],
  ["no prompt", () => openai.images.generate({ model: "image", prompt: "" }), OpenAI.BadRequestError, "prompt_invalid", "prompt"],
  ["an unknown model", () => openai.audio.speech.create({ model: "nope", voice: "v", input: "x" }), OpenAI.NotFoundError, "model_not_found", "model"],
  ["a provider's limit", () => openai.audio.speech.create({ model: "voice", voice: "v", input: "fault status code=429" }), OpenAI.RateLimitError, "provider_rate_limited", null],
]) {
  const e = await caught(call());
  ok(e instanceof Type && e.code === code && e.param === param, `${name}: its own error`, e && { code: e.code, param: e.param });
}

console.log(`1..${count}`);
