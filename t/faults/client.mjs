// A client that hides nothing: whether the end was a proper one, what was sent
// as an event, and over HTTP/2 the same.

import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';


// { status, headers, body, complete, cut, timeout }

function collect(wait, finish) {
    const out = { status: 0, headers: {}, body: '', size: 0, complete: false, timeout: false };
    const chunks = [];
    let over = false;

    const end = (more) => {
        if (over) { return; }
        over = true;
        clearTimeout(timer);
        Object.assign(out, more);
        out.body = Buffer.concat(chunks).toString();
        finish(out);
    };

    // waits: never longer than the client has patience
    const timer = setTimeout(() => end({ timeout: true }), wait);

    return { out, end, take: (piece) => { chunks.push(piece); out.size += piece.length; } };
}


// one POST over HTTP/1.1; {abort} leaves, {pause} and {resume} stop reading

export function post(url, headers, body, wait) {
    const lib = url.protocol === 'https:' ? https : http;
    const request = lib.request(url, { method: 'POST', agent: false, rejectUnauthorized: false,
        headers: { ...headers, 'Content-Length': Buffer.byteLength(body) } });
    const call = { abort: () => request.destroy(), pause: () => {}, resume: () => {} };

    call.done = new Promise((resolve) => {
        const { out, end, take } = collect(wait, (result) => { request.destroy(); resolve(result); });

        call.size = () => out.size;
        call.started = new Promise((first) => { call.first = first; });

        request.on('response', (response) => {
            out.status = response.statusCode;
            out.headers = response.headers;
            call.pause = () => response.pause();
            call.resume = () => response.resume();

            response.on('data', (piece) => { take(piece); call.first(); });
            response.on('end', () => end({ complete: response.complete }));
            response.on('error', () => end({ complete: false }));
            response.on('aborted', () => end({ complete: false }));
        });
        request.on('error', () => end({ complete: false }));
    });

    request.end(body);

    return call;
}


// the same over HTTP/2, of which a plain http:// URL is taken to know beforehand

export function post2(url, headers, body, wait) {
    const session = http2.connect(url.origin, { rejectUnauthorized: false });
    const request = session.request({ ':method': 'POST', ':path': url.pathname + url.search,
                                      ...headers });
    const call = { abort: () => request.close(http2.constants.NGHTTP2_CANCEL) };

    call.done = new Promise((resolve) => {
        const { out, end, take } = collect(wait, (result) => { session.destroy(); resolve(result); });

        call.started = new Promise((first) => { call.first = first; });

        session.on('error', () => end({ unsupported: out.status === 0 }));
        request.on('error', () => end({ complete: false }));
        request.on('response', (got) => { out.status = got[':status']; out.headers = got; });
        request.on('data', (piece) => { take(piece); call.first(); });
        request.on('aborted', () => end({ complete: false }));
        request.on('close', () => end({ complete: request.rstCode === 0 && out.status !== 0 }));
    });

    request.end(body);

    return call;
}


// what an SDK makes of a stream: { text, done, error, broken, usage, extra }

export function read(body) {
    const out = { text: '', done: 0, error: undefined, broken: 0, usage: undefined, extra: 0, signature: 0 };

    for (const event of body.split(/\r\n\r\n|\n\n|\r\r/)) {
        const lines = event.split(/\r\n|\n|\r/).filter((line) => line.startsWith('data:'));
        const text = lines.map((line) => line.replace(/^data: ?/, '')).join('\n');

        if (lines.length === 0) { continue; }
        if (text === '[DONE]') { out.done += 1; continue; }

        let json;

        try { json = JSON.parse(text); } catch { out.broken += 1; continue; }

        if (json.error) { out.error = json.error; }
        if (json.usage) { out.usage = json.usage; }
        if (json.choices?.length === 0) { out.extra += 1; }

        const { delta } = json.choices?.[0] ?? {};

        out.text += delta?.content ?? '';
        out.signature += delta?.extra_content?.google?.thought_signature?.length ?? 0;
    }

    return out;
}
