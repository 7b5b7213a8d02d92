// The unmodified @anthropic-ai/sdk against any gateway that serves
// POST /v1/messages.  Prints TAP, a line for each case.
//
//   node anthropic.mjs BASE_URL TOKEN MODEL ...
//
// A model answers "say" with a text, "tools" with two parallel calls, and
// fails as it is told to: see Sallyport::Provider.

import Anthropic from "@anthropic-ai/sdk";

const [base, token, ...models] = process.argv.slice(2);

let count = 0;
function ok(condition, name, detail) {
  count++;
  console.log(`${condition ? "ok" : "not ok"} ${count} - ${name}`);
  if (!condition && detail !== undefined) console.log(`# ${JSON.stringify(detail)}`);
}

const client = new Anthropic({ apiKey: token, baseURL: base, maxRetries: 0, timeout: 20000 });
const image = { type: "image", source: { type: "base64", media_type: "image/png", data: "iVBORw0KGgo=" } };
const tools = [
  { name: "weather", description: "of a city", input_schema: { type: "object", properties: { at: { type: "string" } } } },
  { name: "now", input_schema: { type: "object", properties: {} } },
];

function ask(model, content, extra = {}) {
  return { model, max_tokens: 200, messages: [{ role: "user", content }], ...extra };
}

const text = (message) => message.content.filter((b) => b.type === "text").map((b) => b.text).join("");
const calls = (message) => message.content.filter((b) => b.type === "tool_use");

for (const model of models) {
  const whole = await client.messages.create(ask(model, "hi"));
  ok(whole.type === "message" && whole.role === "assistant" && text(whole).startsWith("Hello"),
    `${model}: plain`, whole);
  ok(whole.stop_reason === "end_turn" && whole.usage.output_tokens > 0, `${model}: plain, how it ended`, whole);

  const counted = await client.messages.countTokens({ model, messages: [{ role: "user", content: "How many tokens has this?" }], tools });
  ok(counted.input_tokens > 20 && counted.input_tokens < 200, `${model}: tokens are counted`, counted);

  const stream = client.messages.stream(ask(model, "hi", { system: "be kind" }));
  let streamed = "";
  stream.on("text", (delta) => { streamed += delta; });
  const final = await stream.finalMessage();
  ok(streamed === text(whole) && text(final) === streamed, `${model}: stream`, { streamed, final });
  ok(final.usage.input_tokens > 0 && final.usage.output_tokens === whole.usage.output_tokens,
    `${model}: stream, usage`, final.usage);

  const seen = [];
  for await (const event of await client.messages.create({ ...ask(model, "hi"), stream: true })) seen.push(event.type);
  ok(seen[0] === "message_start" && seen.at(-1) === "message_stop", `${model}: stream, first and last`, seen);

  for (const streaming of [false, true]) {
    const name = `${model}: tools${streaming ? ", stream" : ""}`;
    const request = ask(model, "fault tools", { tools, tool_choice: { type: "auto" } });
    const called = streaming ? await client.messages.stream(request).finalMessage()
      : await client.messages.create(request);
    const [first, second] = calls(called);
    ok(calls(called).length === 2 && called.stop_reason === "tool_use", name, called);
    ok(first?.name === "weather" && first.input.at === "Rôme" && JSON.stringify(second?.input) === "{}",
      `${name}, arguments`, [first, second]);

    const answered = await client.messages.create({
      ...request,
      messages: [
        { role: "user", content: "hi" },
        { role: "assistant", content: called.content },
        { role: "user", content: calls(called).map((call, i) => ({
          type: "tool_result", tool_use_id: call.id, content: `result ${i}`, is_error: i === 1,
        })) },
      ],
    });
    ok(text(answered).startsWith("Hello"), `${name}, results`, answered);
  }

  const thought = await client.messages.stream(
    ask(model, "fault think", { max_tokens: 2000, thinking: { type: "enabled", budget_tokens: 1024 } })).finalMessage();
  ok(thought.content[0].type === "thinking" && thought.content[0].thinking === "Let me think.",
    `${model}: thinking`, thought.content);
  const again = await client.messages.create({
    ...ask(model, ""),
    messages: [{ role: "user", content: "hi" }, { role: "assistant", content: thought.content },
      { role: "user", content: "and?" }],
  });
  ok(text(again).startsWith("Hello"), `${model}: thinking, handed back`, again);

  const looked = await client.messages.create(ask(model, [image, { type: "text", text: "hi" }]));
  ok(text(looked).startsWith("Hello"), `${model}: image`, looked);

  for (const [fault, kind, status, type] of [
    ["fault status code=400", Anthropic.BadRequestError, 400, "invalid_request_error"],
    ["fault status code=429", Anthropic.RateLimitError, 429, "rate_limit_error"],
    ["fault status code=529", Anthropic.APIError, 503, "overloaded_error"],
    ["fault status code=401", Anthropic.InternalServerError, 502, "api_error"],
  ]) {
    const error = await client.messages.create(ask(model, fault)).then(() => null, (e) => e);
    ok(error instanceof kind && error.status === status && error.type === type,
      `${model}: error, ${fault}`, { status: error?.status, type: error?.type, message: error?.message });
  }

  for (const fault of ["fault error", "fault short finish=0", "fault cut at=mid", "fault garbage"]) {
    const error = await client.messages.stream(ask(model, fault)).finalMessage().then(() => null, (e) => e);
    ok(error instanceof Anthropic.APIError && error.type === "api_error", `${model}: error in a stream, ${fault}`,
      { type: error?.type, message: error?.message });
  }

  const left = client.messages.stream(ask(model, "fault slow delay=50 words=200"));
  const aborted = await new Promise((resolve) => {
    left.on("text", () => left.abort());
    left.on("abort", resolve);
    left.on("end", () => resolve(null));
  });
  ok(aborted instanceof Anthropic.APIUserAbortError, `${model}: abort`, aborted?.message);
}

const nobody = new Anthropic({ apiKey: "garbage", baseURL: base, maxRetries: 0 });
const refused = await nobody.messages.create(ask(models[0], "hi")).then(() => null, (e) => e);
ok(refused instanceof Anthropic.AuthenticationError && refused.type === "authentication_error",
  "a bad token is the SDK's AuthenticationError", refused?.message);

for (const [name, extra, kind] of [
  ["an unknown model", { model: "nope" }, Anthropic.NotFoundError],
  ["no messages", { messages: [] }, Anthropic.BadRequestError],
  ["no max_tokens", { max_tokens: undefined }, Anthropic.BadRequestError],
]) {
  const error = await client.messages.create({ ...ask(models[0], "hi"), ...extra }).then(() => null, (e) => e);
  ok(error instanceof kind, `${name} is the SDK's ${kind.name}`, { status: error?.status, message: error?.message });
}

console.log(`1..${count}`);
