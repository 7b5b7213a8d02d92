// Strings of many scripts, and what gpt-tokenizer makes of them:
//
//     node oracle.mjs ENCODE PATTERN VOCABULARY N SEED
//
// ENCODE is t/bpe/encode.c, compiled: asked for the same ids.  Prints how many
// strings were the same, and the first that are not.

import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';

const [program, pattern, vocabulary, count, seed] = process.argv.slice(2);
const require = createRequire(new URL('../package.json', import.meta.url));
const { encode } = require(`gpt-tokenizer/encoding/${pattern}`);

let state = Number(seed);

function random(n) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(state / 4294967296 * n);
}

const pick = list => list[random(list.length)];
const chars = (from, to) => () =>
    String.fromCodePoint(from + random(to - from + 1));

// assigned by Unicode 13: all tables at work here know them.  Not there:
// U+0085 and U+FEFF, where JavaScript's \s is not that of tiktoken.
const letters = [
    chars(0x61, 0x7a), chars(0x61, 0x7a), chars(0x61, 0x7a),
    chars(0x41, 0x5a), chars(0xc0, 0xff), chars(0x100, 0x17e),
    chars(0x1c4, 0x1cc), chars(0x250, 0x2af), chars(0x2b0, 0x2c1),
    chars(0x391, 0x3a1), chars(0x3b1, 0x3c9), chars(0x410, 0x44f),
    chars(0x531, 0x556), chars(0x5d0, 0x5ea), chars(0x620, 0x64a),
    chars(0x710, 0x72f), chars(0x905, 0x939), chars(0x985, 0x98c),
    chars(0xa05, 0xa0a), chars(0xb85, 0xb8a), chars(0xe01, 0xe30),
    chars(0xe81, 0xe82), chars(0xf40, 0xf47), chars(0x1000, 0x102a),
    chars(0x10d0, 0x10fa), chars(0x1100, 0x1159), chars(0x1200, 0x1248),
    chars(0x13a0, 0x13f4), chars(0x1780, 0x17b3), chars(0x1820, 0x1877),
    chars(0x1e00, 0x1eff), chars(0x3041, 0x3096), chars(0x30a1, 0x30fa),
    chars(0x3105, 0x312f), chars(0x4e00, 0x9fa5), chars(0x4e00, 0x9fa5),
    chars(0xac00, 0xd7a3), chars(0xff21, 0xff5a), chars(0x10400, 0x1044f),
    chars(0x1d400, 0x1d454), chars(0x20000, 0x2a6d6),
];
const marks = [
    chars(0x300, 0x36f), chars(0x591, 0x5bd), chars(0x64b, 0x65f),
    chars(0x93e, 0x94d), chars(0xe31, 0xe31), chars(0xe34, 0xe3a),
    chars(0x1dc0, 0x1de6), chars(0x20d0, 0x20f0), chars(0xfe00, 0xfe0f),
    chars(0x3099, 0x309a), chars(0xe0100, 0xe01ef),
];
const numbers = [
    chars(0x30, 0x39), chars(0x30, 0x39), chars(0x660, 0x669),
    chars(0x966, 0x96f), chars(0xb2, 0xb3), chars(0xbc, 0xbe),
    chars(0x2160, 0x2188), chars(0x2460, 0x249b), chars(0xff10, 0xff19),
    chars(0x3021, 0x3029),
];
const emoji = [
    () => '\u{1f468}‍\u{1f469}‍\u{1f467}', () => '\u{1f44d}\u{1f3fd}',
    () => '\u{1f1e9}\u{1f1ea}', () => '❤️', () => '☀️',
    () => '\u{1f3f4}\u{e0067}\u{e0062}\u{e007f}', () => '1️⃣',
    chars(0x1f600, 0x1f64f), chars(0x1f300, 0x1f5ff), chars(0x2600, 0x26ff),
];
const spaces = [
    () => ' ', () => ' ', () => ' ', () => '  ', () => '\t', () => '\n',
    () => '\r\n', () => '\n\n', () => '\r', () => '\v', () => '\f',
    () => ' ', () => '　', () => ' ', () => ' ', () => ' ',
    () => ' ', () => ' '.repeat(random(20)), () => '\n'.repeat(random(9)),
    () => ' \n \n  ', () => '\t'.repeat(random(9)),
];
const symbols = [
    chars(0x21, 0x2f), chars(0x3a, 0x40), chars(0x5b, 0x60),
    chars(0x7b, 0x7e), chars(0xa1, 0xa9), chars(0x2010, 0x2027),
    chars(0x2190, 0x21ff), chars(0x3001, 0x3003), chars(0x1, 0x8),
    () => '/', () => '//\n', () => '\'', () => '"', () => '­', () => '​',
    () => '‏', () => '�', () => '', () => '\u{10ffff}', () => '',
    () => '=' + '='.repeat(random(40)), () => '-'.repeat(random(70)),
];
const words = [
    '\'s', '\'S', '\'t', '\'ll', '\'LL', '\'Ve', '\'re', '\'d', '\'M', '\'x',
    '\'l', '\'lL', '’s', 'don\'t', 'I\'LL', 'WE\'re', '\'\'s', 'the', 'The',
    'THE', 'iPhone', 'HTTPServer', 'camelCase', 'snake_case', 'naïve',
    '<|endoftext|>', '<|im_start|>', '<|fim_prefix|>', 'https://a.example/b',
    '```js\n', 'function (x) {\n    return x;\n}\n', '{"a": [1, 2.5e10]}',
    '12345678901', '3.14159', '1,234,567', '2024-01-01', 'à', 'नमस्ते',
    'สวัสดี', '안녕하세요', 'こんにちは世界', '你好，世界', 'مرحبا', 'Привет',
    'ªAB', 'ʰAbc', 'ǅabc', 'éÀ', 'ÀÉ', 'ßS', 'aaaaaaaaaaaaaaaaaaaaa',
    'internationalization', 'Donaudampfschifffahrtsgesellschaft',
].map(text => () => text);

const kinds = [letters, letters, marks, numbers, emoji, spaces, spaces,
               symbols, words, words];

function piece() {
    const kind = pick(kinds);
    const one = pick(kind);

    // a run of one script, now and then
    if (kind === letters || kind === numbers) {
        let text = '';
        for (let n = random(8); n >= 0; n--) text += one();
        return text;
    }
    return one();
}

function text(i) {
    // every pair and triple of kinds is met, long texts are rare
    let out = '';
    for (let n = i % 50 === 0 ? random(200) : random(8); n >= 0; n--) {
        out += piece();
    }
    return out;
}

const list = ['', ' ', '\n', 'a', '\'', ' \'s', 'a'.repeat(5000),
              ' '.repeat(5000), '\n'.repeat(3000), 'ab'.repeat(3000) + ' ',
              '你'.repeat(3000), '\u{1f600}'.repeat(500), '!'.repeat(3000),
              '़'.repeat(900), 'a\n ', 'a \n', 'a  \n  b', '  \n', ' a',
              '\t\ta', '\n a', 'x\r\n\r\n  y'];

while (list.length < Number(count)) list.push(text(list.length));

const input = list.map(s => Buffer.from(s).toString('hex') + '\n').join('');
const run = spawnSync(program, [vocabulary, pattern],
                      { input, maxBuffer: 1 << 30, encoding: 'utf8' });

if (run.status !== 0) {
    console.error(run.stderr || `status ${run.status} ${run.signal}`);
    process.exit(1);
}

const lines = run.stdout.split('\n');
let same = 0, shown = 0, bytes = 0, tokens = 0;

list.forEach((s, i) => {
    const ids = encode(s, { allowedSpecial: new Set(),
                            disallowedSpecial: new Set() });

    bytes += Buffer.byteLength(s);
    tokens += ids.length;

    if (lines[i] === `${ids.join(',')}|${ids.length}`) {
        same++;

    } else if (shown++ < 5) {
        console.log(`# ${JSON.stringify(s)}`);
        console.log(`#   ours   ${lines[i]}`);
        console.log(`#   theirs ${ids.join(',')}|${ids.length}`);
    }
});

console.log(`${same} of ${list.length} the same, ${bytes} bytes, `
            + `${tokens} tokens`);
