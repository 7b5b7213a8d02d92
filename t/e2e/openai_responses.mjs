// OpenAI's own SDK with the Responses API, unmodified.  Prints TAP, a line for
// each case.  The provider behind the gateway does what the prompt says: see
// t/lib/Sallyport/Provider.pm.
//
//   node openai_responses.mjs BASE_URL TOKEN

import OpenAI from "openai";

const [base, token] = process.argv.slice(2);
const openai = new OpenAI({ apiKey: token, baseURL: `${base}/v1`, maxRetries: 0 });

const HELLO = "Hello é 😀 \"quoted\"\nend.";
const PIXEL = "data:image/png;base64,iVBORw0KGgo=";

let count = 0;
function ok(condition, name, detail) {
  count++;
  console.log(`${condition ? "ok" : "not ok"} ${count} - ${name}`);
  if (!condition && detail !== undefined) console.log(`# ${JSON.stringify(detail)}`);
}

const squeeze = (text) => text.replace(/ +/g, " ");
const tools = ["weather", "time"].map((name) => ({
  type: "function", name, description: `the ${name}`, strict: false,
  parameters: { type: "object", properties: { city: { type: "string" } } },
}));
const caught = (promise) => promise.then(() => null, (e) => e);


const plain = await openai.responses.create({ model: "default", input: "hi" });
ok(squeeze(plain.output_text) === HELLO && plain.status === "completed", "plain: create", plain);
ok(plain.usage.total_tokens === plain.usage.input_tokens + plain.usage.output_tokens, "plain: usage", plain.usage);

let text = "", types = new Set(), numbers = [];
for await (const event of await openai.responses.create({ model: "default", input: "hi", stream: true })) {
  types.add(event.type);
  numbers.push(event.sequence_number);
  if (event.type === "response.output_text.delta") text += event.delta;
}
ok(squeeze(text) === HELLO && types.has("response.completed"), "plain: create as a stream", [...types]);
ok(numbers.every((n, i) => n === i), "plain: numbered events", numbers);

const helper = openai.responses.stream({ model: "default", input: "hi" });
let snapshot = "";
helper.on("response.output_text.delta", (e) => { snapshot = e.snapshot; });
const final = await helper.finalResponse();
ok(squeeze(final.output_text) === HELLO && snapshot === final.output_text, "plain: the stream helper", final);

const seen = await openai.responses.create({ model: "default", input: [{ role: "user", content: [
  { type: "input_text", text: "what is it?" },
  { type: "input_image", image_url: PIXEL, detail: "low" },
] }] });
ok(squeeze(seen.output_text) === HELLO, "image: create", seen);

for (const stream of [false, true]) {
  const name = stream ? "tools: stream" : "tools: create";
  const ask = (input) => stream ? openai.responses.stream({ model: "default", input, tools }).finalResponse()
                                : openai.responses.create({ model: "default", input, tools });
  const input = [{ role: "user", content: "fault tool" }];
  const first = await ask(input);
  const calls = first.output.filter((item) => item.type === "function_call");
  ok(calls.map((c) => `${c.name} ${c.arguments}`).join() === 'weather {"city":"Rome"},time {}',
    `${name}: parallel calls`, first.output);
  ok(first.output[0].type === "reasoning" && /look/.test(first.output[0].summary[0].text),
    `${name}: reasoning before them`, first.output);

  const again = await ask([...input, ...first.output, ...calls.map((c) => (
    { type: "function_call_output", call_id: c.call_id, output: "fine" }))]);
  ok(squeeze(again.output_text) === HELLO, `${name}: and the answer`, again);
}

const parsed = await openai.responses.parse({ model: "default", input: "fault echo size=9\n{\"a\":1}",
  text: { format: { type: "json_schema", name: "n", schema: { type: "object" } } } });
ok(parsed.output_parsed?.a === 1, "json schema: parse", parsed.output_text);

for (const [name, body, Type, code, param] of [
  ["an unknown model", { model: "nope" }, OpenAI.NotFoundError, "model_not_found", "model"],
  ["a stored response", { previous_response_id: "resp_1" }, OpenAI.BadRequestError, "unsupported_parameter", "previous_response_id"],
  ["a hosted tool", { tools: [{ type: "web_search" }] }, OpenAI.BadRequestError, "unsupported_tool", "tools"],
  ["a provider's limit", { input: "fault status code=429" }, OpenAI.RateLimitError, "provider_rate_limited", null],
  ["a provider that fails", { input: "fault status code=500" }, OpenAI.InternalServerError, "provider_failed", null],
]) {
  for (const stream of [false, true]) {
    const error = await caught(openai.responses.create({ model: "default", input: "hi", stream, ...body }));
    ok(error instanceof Type && error.code === code && error.param === param,
      `error: ${name}${stream ? ", stream" : ""}`, error);
  }
}

const cut = await caught((async () => {
  for await (const event of await openai.responses.create({ model: "default", input: "fault cut at=mid", stream: true })) {
    if (event.type === "response.completed") return;
  }
})());
ok(cut instanceof OpenAI.APIError && cut.code === "provider_stream_cut", "error: in a stream", cut);

const failed = await caught(openai.responses.stream({ model: "default", input: "fault error" }).finalResponse());
ok(failed instanceof OpenAI.APIError, "error: of the stream helper", failed);

const slow = await openai.responses.create({ model: "default", input: "fault slow words=500 delay=20", stream: true });
let events = 0;
for await (const event of slow) {
  events++;
  if (event.type === "response.output_text.delta") slow.controller.abort();
}
ok(slow.controller.signal.aborted && events < 100, "abort: a stream", events);

const vectors = await openai.embeddings.create({ model: "embedding", input: ["a", "b"] });
ok(JSON.stringify(vectors.data[0].embedding) === "[0.5,-0.5]", "embeddings: as base64", vectors);

const models = await openai.models.list();
ok(models.data.some((m) => m.id === "default"), "models: list", models);
const one = await openai.models.retrieve("default");
ok(one.id === "default", "models: retrieve", one);

console.log(`1..${count}`);
