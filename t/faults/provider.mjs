// A provider of OpenAI's dialect that misbehaves, on a socket of its own, so
// that every byte is decided here.  What it does is told by a word in the
// request, `case-NAME-N`, wherever a gateway puts it.

import { createServer } from 'node:net';
import { gzipSync } from 'node:zlib';

export const TEXT = 'Hello é 😀 "quoted"\nend.';
export const SECRET = 'account acct-7788 is over its limit';
export const SIGNATURE = 2 * 1024 * 1024;
export const FLOOD = 64 * 1024 * 1024;

const words = ['Hello ', 'é ', '😀 ', '"quoted"\n', 'end.'];
const base = { id: 'chatcmpl-fault', object: 'chat.completion.chunk', created: 1, model: 'm' };
const usage = (n) => ({ prompt_tokens: 11, completion_tokens: n, total_tokens: 11 + n });
const data = (value) => `data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n`;
const delta = (value, more) => ({
    ...base, choices: [{ index: 0, delta: value, finish_reason: null }], ...more });
const finish = () => ({ ...base, choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] });
const failure = { error: { message: SECRET, type: 'server_error', code: null, param: null } };


// the events of a proper stream

function events(request) {
    const out = [delta({ role: 'assistant', content: '' }),
                 ...words.map((w) => delta({ content: w })), finish()];

    if (request.json?.stream_options?.include_usage) {
        out.push({ ...base, choices: [], usage: usage(5) });
    }

    return [...out.map(data), data('[DONE]')];
}

function whole(more) {
    return JSON.stringify({ id: 'chatcmpl-fault', object: 'chat.completion', created: 1, model: 'm',
        choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: TEXT } }],
        usage: usage(5), ...more });
}


// what is written to one connection, piece by piece

class Reply {
    constructor(socket, request) {
        this.socket = socket;
        this.request = request;
    }

    head(status, type, more = '') {
        return this.write(`HTTP/1.1 ${status} X\r\nContent-Type: ${type}\r\n${more}\r\n`);
    }

    stream(type = 'text/event-stream', more = '') {
        return this.head(200, type, `Transfer-Encoding: chunked\r\n${more}`);
    }

    write(bytes) {
        return new Promise((resolve) => {
            if (this.socket.destroyed) { resolve(); return; }

            const done = () => { this.socket.off('close', done); resolve(); };

            this.socket.once('close', done);
            this.socket.write(bytes, done);
        });
    }

    chunk(bytes) {
        const body = Buffer.from(bytes);

        return this.write(Buffer.concat([
            Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from('\r\n')]));
    }

    async chunks(list, pause = 2) {
        for (const bytes of list) {
            await this.chunk(bytes);
            await this.silence(pause);
        }
    }

    end() { return this.write('0\r\n\r\n'); }
    // waits: what the provider does in this time is nothing
    silence(ms) { return new Promise((resolve) => { setTimeout(resolve, ms); }); }
    cut() { this.socket.destroy(); }

    body(status, type, text, more = '') {
        const body = Buffer.from(text);

        return this.write(Buffer.concat([Buffer.from(`HTTP/1.1 ${status} X\r\nContent-Type: ${type}\r\n`
            + `Content-Length: ${body.length}\r\n${more}\r\n`), body]));
    }

    async all(list, pause) {
        await this.stream();
        await this.chunks(list, pause);
        await this.end();
    }
}


// a fault is what it does with (reply, request); the name is that of the case

const faults = {
    plain: (r, q) => (q.json?.stream ? r.all(events(q)) : r.body(200, 'application/json', whole())),

    bytes: async (r, q) => {
        const text = Buffer.from(events(q).join(''));

        await r.stream();
        for (const byte of text) { await r.chunk(Buffer.from([byte])); }
        await r.end();
    },

    utf8: async (r, q) => {
        const text = Buffer.from(events(q).join(''));
        const at = [text.indexOf('é') + 1, text.indexOf('😀') + 1, text.indexOf('😀') + 3];

        await r.all([text.subarray(0, at[0]), text.subarray(at[0], at[1]),
                     text.subarray(at[1], at[2]), text.subarray(at[2])], 50);
    },

    crlf: (r, q) => r.all(events(q).map((e) => e.replace(/\n/g, '\r\n'))),

    comments: (r, q) => r.all(events(q).flatMap((e) => [': thinking\n\n', e])),

    'late-token': async (r, q) => {
        await r.stream();
        await r.silence(700);
        await r.chunks(events(q));
        await r.end();
    },

    'stall-first': async (r, q) => { if (q.json?.stream) { await r.stream(); } },
    'stall-mid': async (r, q) => { await r.stream(); await r.chunks(events(q).slice(0, 4)); },

    'cut-event': async (r, q) => {
        const list = events(q);

        await r.stream();
        await r.chunks([...list.slice(0, 4), list[4].slice(0, 30)], 20);
        r.cut();
    },

    'cut-between': async (r, q) => {
        await r.stream();
        await r.chunks(events(q).slice(0, 4), 20);
        r.cut();
    },

    'no-end': (r, q) => r.all(events(q).slice(0, 4)),

    'close-delimited': async (r, q) => {
        await r.head(200, 'text/event-stream', 'Connection: close\r\n');
        await r.write(events(q).slice(0, 4).join(''));
        r.cut();
    },

    'short-body': async (r) => {
        const text = Buffer.from(whole());

        await r.head(200, 'application/json', `Content-Length: ${text.length}\r\n`);
        await r.write(text.subarray(0, text.length / 2));
        await r.silence(50);
        r.cut();
    },

    'short-chunked': async (r) => {
        const text = Buffer.from(whole());

        await r.stream('application/json');
        await r.chunk(text.subarray(0, text.length / 2));
        await r.silence(50);
        r.cut();
    },

    'short-close': async (r) => {
        await r.head(200, 'application/json', 'Connection: close\r\n');
        await r.write(Buffer.from(whole()).subarray(0, 80));
        await r.silence(50);
        r.cut();
    },

    'error-first': (r) => r.all([data(failure)]),
    'error-mid': (r, q) => r.all([...events(q).slice(0, 4), data(failure)]),
    'error-whole': (r) => r.body(200, 'application/json', JSON.stringify(failure)),

    'raw-json': (r, q) => r.all([...events(q).slice(0, 4), `${JSON.stringify({ error: {
        code: 503, message: 'The model is overloaded.', status: 'UNAVAILABLE' } }, null, 2)}\n`]),

    usage: (r, q) => r.all([...events(q).slice(0, 6).map((e, i) => data({
        ...JSON.parse(e.slice(6)), usage: usage(i) })), data({ ...finish(), usage: usage(5) }),
        data('[DONE]')]),

    signature: async (r, q) => {
        const list = events(q);

        list.splice(3, 0, data(delta({ extra_content: {
            google: { thought_signature: 'S'.repeat(SIGNATURE) } } })));
        await r.all(list);
    },

    gzip: (r, q) => (q.json?.stream
        ? r.body(200, 'text/event-stream', gzipSync(events(q).join('')), 'Content-Encoding: gzip\r\n')
        : r.body(200, 'application/json', gzipSync(whole()), 'Content-Encoding: gzip\r\n')),

    type: (r) => r.body(200, 'text/html', '<html><body>maintenance</body></html>'),

    flood: async (r, q) => {
        const piece = data(delta({ content: 'x'.repeat(65536) }));
        const list = events(q);

        await r.stream();
        await r.chunk(list[0]);

        for (q.sent = 0; q.sent < FLOOD && !r.socket.destroyed; q.sent += piece.length) {
            await r.chunk(piece);
        }

        await r.chunks(list.slice(-2));
        await r.end();
    },

    // until the client has left
    silent: async () => {},
    trickle: async (r, q) => {
        await r.stream();
        await r.chunk(events(q)[0]);

        while (!r.socket.destroyed) {
            await r.chunk(events(q)[1]);
            await r.silence(20);
        }
    },

    'half-body': async (r) => {
        await r.head(200, 'application/json', `Content-Length: ${whole().length + 99}\r\n`);
        await r.write(whole().slice(0, 40));
    },

    limited: (r) => r.body(429, 'application/json', JSON.stringify({ error: {
        message: SECRET, type: 'rate_limit_error', code: 'rate_limit_exceeded', param: null } }),
        'Retry-After: 7\r\nretry-after-ms: 7000\r\n'),
};


// a request out of what has come so far: undefined until it is whole

function parse(bytes) {
    const end = bytes.indexOf('\r\n\r\n');

    if (end < 0) { return undefined; }

    const head = bytes.subarray(0, end).toString();
    let body = bytes.subarray(end + 4);

    if (/^transfer-encoding:\s*chunked/im.test(head)) {
        if (!body.includes('\r\n0\r\n\r\n') && !body.toString().startsWith('0\r\n\r\n')) { return undefined; }
        body = Buffer.from(body.toString().replace(/(^|\r\n)[0-9a-f]+\r\n/gi, ''));

    } else {
        const length = Number(/^content-length:\s*(\d+)/im.exec(head)?.[1] ?? 0);

        if (body.length < length) { return undefined; }
    }

    const text = body.toString();
    let json;

    try { json = JSON.parse(text); } catch { json = undefined; }

    return { head, text, json };
}


export class Provider {
    constructor() {
        this.requests = new Map();
        this.waiting = new Map();
        this.sockets = new Set();
    }

    // at the second port every TLS handshake fails

    async listen(port, tls) {
        this.server = await this.open(port, (socket) => this.accept(socket));
        this.tls = await this.open(tls, (socket) => {
            socket.once('data', () => socket.end(Buffer.from([0x15, 3, 1, 0, 2, 2, 40])));
        });
    }

    open(port, accept) {
        return new Promise((resolve, reject) => {
            const server = createServer({ noDelay: true }, (socket) => {
                this.sockets.add(socket);
                socket.on('error', () => {});
                socket.on('close', () => this.sockets.delete(socket));
                accept(socket);
            });

            server.once('error', reject);
            server.listen(port, '127.0.0.1', () => resolve(server));
        });
    }

    accept(socket) {
        let bytes = Buffer.alloc(0);

        socket.on('data', (more) => {
            bytes = Buffer.concat([bytes, more]);

            const request = parse(bytes);

            if (request) {
                bytes = Buffer.alloc(0);
                this.answer(socket, request);
            }
        });
    }

    answer(socket, request) {
        socket.setMaxListeners(0);
        const [, id, name] = /(case-([a-z0-9-]+)-\d+)/.exec(request.text) ?? [];

        request.closed = new Promise((resolve) => { socket.once('close', () => resolve(Date.now())); });
        this.requests.set(id, request);
        this.waiting.get(id)?.(request);

        (faults[name] ?? faults.plain)(new Reply(socket, request), request);
    }

    // the request of that case, as soon as it is there

    seen(id) {
        return this.requests.get(id) ?? new Promise((resolve) => { this.waiting.set(id, resolve); });
    }

    close() {
        this.server.close();
        this.tls.close();
        for (const socket of this.sockets) { socket.destroy(); }
    }
}
