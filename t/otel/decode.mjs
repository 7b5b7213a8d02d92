// Reads requests of OTLP/HTTP in JSON, one a line, by the messages that
// OpenTelemetry's own package has made of opentelemetry-proto; writes what it
// has understood, one a line, in the same JSON.  What it does not know, and
// what is of another type, is not in it, or an error.
//
//   node decode.mjs < REQUESTS

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const root = require("@opentelemetry/otlp-transformer/build/src/generated/root.js");
const Request = root.opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest;

const ids = ["traceId", "spanId", "parentSpanId"];

function walk(value, change) {
  if (Array.isArray(value)) return value.map((v) => walk(v, change));
  if (value === null || typeof value !== "object" || value instanceof Uint8Array) return value;
  return Object.fromEntries(Object.entries(value).map(([k, v]) =>
    [k, ids.includes(k) ? change(v) : walk(v, change)]));
}

for (const line of readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  // ids are hexadecimal in OTLP's JSON, and base64 in that of protocol buffers
  const parsed = walk(JSON.parse(line), (id) => {
    if (!/^([0-9a-f]{16}){1,2}$/.test(id)) throw new Error(`id ${id}`);
    return Buffer.from(id, "hex").toString("base64");
  });
  const message = Request.decode(Request.encode(Request.fromObject(parsed)).finish());
  const problem = Request.verify(message);
  if (problem) throw new Error(problem);

  const back = Request.toObject(message, { longs: String, bytes: String, enums: Number });
  console.log(JSON.stringify(walk(back, (id) => Buffer.from(id, "base64").toString("hex"))));
}
