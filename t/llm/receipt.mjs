// Verifies a receipt with unmodified ethers; the stream that carries it is
// read by the unmodified openai SDK.
//
//   node receipt.mjs verify < RECEIPT       the address that has signed
//   node receipt.mjs hash < TEXT            the hash of a text
//   node receipt.mjs chat BASE_URL TOKEN    what the SDK reads of a stream

import { readFileSync } from "node:fs";
import { id, verifyMessage } from "ethers";
import OpenAI from "openai";

const [what, base, token] = process.argv.slice(2);

if (what === "verify") {
  const { receipt, signature } = JSON.parse(readFileSync(0, "utf8"));
  console.log(verifyMessage(receipt, signature));
} else if (what === "hash") {
  console.log(id(readFileSync(0, "utf8")));
} else {
  const client = new OpenAI({ baseURL: base, apiKey: token, maxRetries: 0 });
  const stream = await client.chat.completions.create(
    { model: "dear", messages: [{ role: "user", content: "hi" }], stream: true },
    { headers: { "X-Receipt": "1" } },
  );
  let text = "";
  for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? "";
  console.log(JSON.stringify(text));
}
