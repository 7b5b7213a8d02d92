// OpenAI's own SDK with images and speech, unmodified.  Prints TAP, a line for
// each case.  The provider behind the gateway does what the prompt says: see
// t/lib/Sallyport/Media.pm.
//
//   node openai_media.mjs BASE_URL TOKEN

import OpenAI from "openai";

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

for (const [name, call, Type, code, param] of [
  ["no prompt", () => openai.images.generate({ model: "image", prompt: "" }), OpenAI.BadRequestError, "prompt_invalid", "prompt"],
  ["an unknown model", () => openai.audio.speech.create({ model: "nope", voice: "v", input: "x" }), OpenAI.NotFoundError, "model_not_found", "model"],
  ["a provider's limit", () => openai.audio.speech.create({ model: "voice", voice: "v", input: "fault status code=429" }), OpenAI.RateLimitError, "provider_rate_limited", null],
]) {
  const e = await caught(call());
  ok(e instanceof Type && e.code === code && e.param === param, `${name}: its own error`, e && { code: e.code, param: e.param });
}

console.log(`1..${count}`);
