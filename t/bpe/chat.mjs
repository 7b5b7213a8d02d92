// What gpt-tokenizer counts for chats:
//
//     node chat.mjs FILE
//
// FILE has a line of JSON for each: {"model", "messages", "tools"}, or
// {"model", "text"}.  Prints a number a line: texts by gpt-tokenizer, messages
// as OpenAI documents, tools as gpt-tokenizer estimates them.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(new URL('../package.json', import.meta.url));
const plain = { allowedSpecial: new Set(), disallowedSpecial: new Set() };

for (const line of readFileSync(process.argv[2], 'utf8').split('\n')) {
    if (line === '') continue;

    const { model, messages, tools, text } = JSON.parse(line);
    const tokenizer = require(`gpt-tokenizer/model/${model}`);
    const count = string => tokenizer.countTokens(string, plain);

    if (text !== undefined) {
        console.log(count(text));

    } else if (tools) {
        console.log(tokenizer.countChatCompletionTokens({
            messages, functions: tools.map(tool => tool.function) }));

    } else {
        console.log(messages.reduce((sum, m) => sum + 3 + count(m.role)
            + count(m.content) + (m.name ? 1 + count(m.name) : 0), 3));
    }
}
