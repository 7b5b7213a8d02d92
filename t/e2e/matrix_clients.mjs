// One face for all SDKs, for matrix.mjs:
//
//   ask(model, {text, image, tools, stream, signal, onText, after, results})
//     -> {text, calls: [[name, input]], end, usage: [input, output]}
//   isError(error, status, expect)     status null: one that came in a stream
//
// "after" is an answer with calls, to the same question; "results" are theirs.

import Anthropic from "@anthropic-ai/sdk";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { APICallError, generateText, jsonSchema, streamText, tool } from "ai";
import OpenAI from "openai";

const schema = { type: "object", properties: { at: { type: "string" } } };
const names = ["weather", "now"];
const dataUrl = (data) => `data:image/png;base64,${data}`;
const parsed = (text) => JSON.parse(text === "" ? "{}" : text);


function openaiError(error, status, expect) {
  const kinds = { 400: OpenAI.BadRequestError, 429: OpenAI.RateLimitError,
    500: OpenAI.InternalServerError, 502: OpenAI.InternalServerError };
  expect(error instanceof (kinds[status] ?? OpenAI.APIError), true, "class");
  if (status) expect(error.status, status, "status");
}

export function openaiChat(client) {
  return {
    isError: openaiError,

    async ask(model, q) {
      const messages = [{ role: "user", content: !q.image ? q.text : [
        { type: "text", text: q.text }, { type: "image_url", image_url: { url: dataUrl(q.image) } }] }];
      if (q.after) {
        messages.push(q.after.message, ...q.after.message.tool_calls.map((call, i) =>
          ({ role: "tool", tool_call_id: call.id, content: q.results[i] })));
      }
      const body = { model, messages, tools: q.tools && names.map((name) =>
        ({ type: "function", function: { name, parameters: schema } })) };

      let whole;
      if (q.stream) {
        const stream = client.chat.completions.stream(
          { ...body, stream_options: { include_usage: true } }, { signal: q.signal });
        stream.on("content", (delta) => q.onText?.(delta));
        whole = await stream.finalChatCompletion();
      } else {
        whole = await client.chat.completions.create(body);
      }
      const [{ message, finish_reason: end }] = whole.choices;
      return {
        message, text: message.content ?? "",
        calls: (message.tool_calls ?? []).map((c) => [c.function.name, parsed(c.function.arguments)]),
        end: end === "tool_calls" ? "tools" : end,
        usage: [whole.usage.prompt_tokens, whole.usage.completion_tokens],
      };
    },
  };
}


export function openaiResponses(client) {
  return {
    isError: openaiError,

    async ask(model, q) {
      const input = [{ role: "user", content: !q.image ? q.text : [
        { type: "input_text", text: q.text },
        { type: "input_image", image_url: dataUrl(q.image), detail: "auto" }] }];
      if (q.after) {
        input.push(...q.after.output, ...q.after.output.filter((item) => item.type === "function_call")
          .map((call, i) => ({ type: "function_call_output", call_id: call.call_id, output: q.results[i] })));
      }
      const body = { model, input, tools: q.tools && names.map((name) =>
        ({ type: "function", name, parameters: schema, strict: false })) };

      let whole;
      if (q.stream) {
        const stream = client.responses.stream(body, { signal: q.signal });
        stream.on("response.output_text.delta", (event) => q.onText?.(event.delta));
        whole = await stream.finalResponse();
      } else {
        whole = await client.responses.create(body);
      }
      /* parse() of the stream helper adds a member of its own */
      const output = whole.output.map(({ parsed_arguments: _, ...item }) => item);
      const calls = output.filter((item) => item.type === "function_call")
        .map((call) => [call.name, parsed(call.arguments)]);
      return {
        output, text: whole.output_text, calls,
        end: whole.status === "completed" ? calls.length ? "tools" : "stop" : whole.status,
        usage: [whole.usage.input_tokens, whole.usage.output_tokens],
      };
    },
  };
}


export function anthropic(client) {
  return {
    isError(error, status, expect) {
      const kinds = { 400: Anthropic.BadRequestError, 429: Anthropic.RateLimitError,
        500: Anthropic.InternalServerError, 502: Anthropic.InternalServerError };
      expect(error instanceof (kinds[status] ?? Anthropic.APIError), true, "class");
      if (status) expect(error.status, status, "status");
    },

    async ask(model, q) {
      const messages = [{ role: "user", content: !q.image ? q.text : [
        { type: "image", source: { type: "base64", media_type: "image/png", data: q.image } },
        { type: "text", text: q.text }] }];
      if (q.after) {
        messages.push({ role: "assistant", content: q.after.content },
          { role: "user", content: q.after.content.filter((b) => b.type === "tool_use")
            .map((call, i) => ({ type: "tool_result", tool_use_id: call.id, content: q.results[i] })) });
      }
      const body = { model, max_tokens: 200, messages,
        tools: q.tools && names.map((name) => ({ name, input_schema: schema })) };

      let whole;
      if (q.stream) {
        const stream = client.messages.stream(body, { signal: q.signal });
        stream.on("text", (delta) => q.onText?.(delta));
        whole = await stream.finalMessage();
      } else {
        whole = await client.messages.create(body);
      }
      const { content, usage } = whole;
      return {
        content, text: content.filter((b) => b.type === "text").map((b) => b.text).join(""),
        calls: content.filter((b) => b.type === "tool_use").map((b) => [b.name, b.input]),
        end: { end_turn: "stop", tool_use: "tools" }[whole.stop_reason] ?? whole.stop_reason,
        usage: [usage.input_tokens, usage.output_tokens],
      };
    },
  };
}


export function ai(kind, baseURL, apiKey) {
  const openai = createOpenAI({ apiKey, baseURL });
  const models = { "openai.chat": openai.chat, "openai.responses": openai.responses,
    anthropic: createAnthropic({ apiKey, baseURL }) };

  return {
    isError(error, status, expect) {
      if (!status) return;
      expect(APICallError.isInstance(error), true, "class");
      expect(error.statusCode, status, "status");
    },

    async ask(model, q) {
      const messages = [{ role: "user", content: !q.image ? q.text : [
        { type: "text", text: q.text }, { type: "image", image: q.image, mediaType: "image/png" }] }];
      if (q.after) {
        messages.push(...q.after.messages, { role: "tool", content: q.after.toolCalls.map((call, i) => ({
          type: "tool-result", toolCallId: call.toolCallId, toolName: call.toolName,
          output: { type: "text", value: q.results[i] } })) });
      }
      const ask = { model: models[kind](model), messages, maxRetries: 0, abortSignal: q.signal,
        /* nothing is stored: items are sent, not their ids */
        providerOptions: { openai: { store: false } },
        tools: q.tools && Object.fromEntries(names.map((name) => [name, tool({ inputSchema: jsonSchema(schema) })])) };

      let result;
      if (q.stream) {
        const errors = [];
        result = streamText({ ...ask, onError: ({ error }) => errors.push(error) });
        for await (const part of result.fullStream) if (part.type === "text-delta") q.onText?.(part.text);
        if (errors.length) throw errors[0] instanceof Error ? errors[0] : new Error(JSON.stringify(errors[0]));
      } else {
        result = await generateText(ask);
      }
      const [text, toolCalls, end, usage, response] = await Promise.all([
        result.text, result.toolCalls, result.finishReason, result.usage, result.response]);
      return {
        messages: response.messages, toolCalls, text,
        calls: toolCalls.map((call) => [call.toolName, call.input]),
        end: end === "tool-calls" ? "tools" : end,
        usage: [usage.inputTokens, usage.outputTokens],
      };
    },
  };
}


export function google(client) {
  return {
    isError(error, status, expect) {
      expect(error.constructor.name, "ApiError", "class");
      if (status) expect(error.status, status, "status");
    },

    async ask(model, q) {
      const contents = [{ role: "user", parts: [{ text: q.text },
        ...(q.image ? [{ inlineData: { mimeType: "image/png", data: q.image } }] : [])] }];
      if (q.after) {
        contents.push({ role: "model", parts: q.after.parts },
          { role: "user", parts: q.after.calls.map(([name], i) =>
            ({ functionResponse: { name, response: { result: q.results[i] } } })) });
      }
      const ask = { model, contents, config: { abortSignal: q.signal, tools: q.tools && [
        { functionDeclarations: names.map((name) => ({ name, parametersJsonSchema: schema })) }] } };

      const parts = [];
      let end, usage;
      const replies = q.stream ? await client.models.generateContentStream(ask)
        : [await client.models.generateContent(ask)];
      for await (const reply of replies) {
        const [candidate] = reply.candidates ?? [];
        for (const part of candidate?.content?.parts ?? []) {
          parts.push(part);
          if (part.text) q.onText?.(part.text);
        }
        end = candidate?.finishReason ?? end;
        usage = reply.usageMetadata ?? usage;
      }
      const calls = parts.filter((p) => p.functionCall).map((p) => [p.functionCall.name, p.functionCall.args]);
      return {
        parts, calls, text: parts.map((p) => p.text ?? "").join(""),
        end: end === "STOP" ? calls.length ? "tools" : "stop" : end,
        usage: [usage?.promptTokenCount, usage?.candidatesTokenCount],
      };
    },
  };
}
