#!/usr/bin/env node
// The fault suite: a misbehaving provider on one side of a gateway, a client
// that looks closely on the other.  docs/faults.md says how to aim it.

import { parseArgs } from 'node:util';

import { cases } from './cases.mjs';
import { post, post2 } from './client.mjs';
import { Provider } from './provider.mjs';

const { values: opt } = parseArgs({ options: {
    url: { type: 'string' },                        // of the gateway, with /v1
    http2: { type: 'string' },                      // the same for HTTP/2
    token: { type: 'string', default: '' },
    model: { type: 'string', default: 'default' },
    'tls-url': { type: 'string', default: '' },     // or another path of it
    'tls-model': { type: 'string', default: '' },   // its provider is at the tls-port
    port: { type: 'string', default: '18080' },     // of the provider
    'tls-port': { type: 'string', default: '18081' },
    header: { type: 'string', multiple: true, default: [] },
    'tls-header': { type: 'string', multiple: true, default: [] },
    wait: { type: 'string', default: '10' },        // seconds, longer than the gateway's timeouts
    only: { type: 'string', default: '' },
    format: { type: 'string', default: 'table' },   // table, markdown, json
} });

if (!opt.url) {
    process.stderr.write('usage: main.mjs --url http://GATEWAY/v1 [--token T] [--model M]'
                         + ' [--port P] ...; see docs/faults.md\n');
    process.exit(2);
}

const wait = Number(opt.wait) * 1000;
const fields = (list) => Object.fromEntries(list.map((line) => {
    const [, name, value] = /^([^:]+):\s*(.*)$/.exec(line);
    return [name.toLowerCase(), value];
}));
const header = {
    'content-type': 'application/json', 'accept-encoding': 'identity',
    ...(opt.token ? { authorization: `Bearer ${opt.token}` } : {}), ...fields(opt.header) };
const provider = new Provider();
let count = 0;


async function run([name, , what, judge]) {
    if (what.tls && !opt['tls-model'] && !opt['tls-url'] && opt['tls-header'].length === 0) {
        return ['n/a', 'no model for it was named'];
    }

    if (what.http2 && !opt.http2 && !opt.url.startsWith('https:')) {
        return ['n/a', 'no address for HTTP/2 was named'];
    }

    const id = `case-${what.fault ?? name}-${count += 1}`;
    const where = (what.http2 && opt.http2) || (what.tls && opt['tls-url']) || opt.url;
    const url = new URL(`${where}/chat/completions`);
    const body = JSON.stringify({ model: (what.tls && opt['tls-model']) || opt.model, ...what.body,
                                  messages: [{ role: 'user', content: id }] });
    const headers = { ...header, ...(what.tls ? fields(opt['tls-header']) : {}) };
    const aimed = () => (what.http2 ? post2 : post)(url, headers, body, wait);

    aimed.id = id;

    if (what.run) { return what.run({ aimed, provider, wait }); }

    const got = await aimed().done;

    return got.unsupported ? ['n/a', 'no HTTP/2'] : judge(got);
}


function print(name, what, [verdict, why]) {
    const line = {
        json: () => JSON.stringify({ name, what, verdict, why }),
        markdown: () => `| \`${name}\` | ${what} | ${verdict} | ${why.replace(/\|/g, '\\|')} |`,
        table: () => `${verdict.padEnd(5)} ${name.padEnd(16)} ${what.padEnd(42)} ${why}`,
    }[opt.format]();

    process.stdout.write(`${line}\n`);
}


await provider.listen(Number(opt.port), Number(opt['tls-port']));

if (opt.format === 'markdown') {
    process.stdout.write('| case | the provider, or the client | | |\n|---|---|---|---|\n');
}

const sum = {};

for (const one of cases) {
    const [name, what] = one;

    if (opt.only && !opt.only.split(',').includes(name)) { continue; }

    const verdict = await run(one);

    sum[verdict[0]] = (sum[verdict[0]] ?? 0) + 1;
    print(name, what, verdict);
}

provider.close();

if (opt.format !== 'json') {
    process.stdout.write(`\n${['pass', 'weak', 'FAIL', 'n/a'].map((k) => `${sum[k] ?? 0} ${k}`).join(', ')}\n`);
}

process.exit(sum.FAIL || sum.weak ? 1 : 0);
