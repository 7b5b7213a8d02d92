// The cases: what the provider does, and what a client must see of it.
//
//   pass   as it should be
//   weak   the client can tell that something is wrong, but not what
//   FAIL   it cannot, or it waits for ever, or the provider goes on unheard

import { read } from './client.mjs';
import { FLOOD, SIGNATURE, TEXT } from './provider.mjs';

const pass = (why = '') => ['pass', why];
const weak = (why) => ['weak', why];
const fail = (why) => ['FAIL', why];
const json = (body) => { try { return JSON.parse(body); } catch { return undefined; } };


// all of the answer, and a proper end

function complete(got, more = () => pass()) {
    if (got.timeout) { return fail('no end of the answer'); }
    if (got.status !== 200) { return fail(`status ${got.status}`); }
    if (!got.complete) { return fail('the connection was cut'); }

    if (!/event-stream/.test(got.headers['content-type'])) {
        const said = json(got.body)?.choices?.[0]?.message?.content;

        return said === TEXT ? more(got) : fail('not the answer');
    }

    const out = read(got.body);

    if (out.error) { return fail(`an error: ${out.error.message}`); }
    if (out.broken) { return fail('an event that is not JSON'); }
    if (!out.text.endsWith(TEXT)) { return fail('not all of the text'); }
    if (out.done !== 1) { return fail(`${out.done} times [DONE]`); }

    return more(got, out);
}


// an error that a client can read, or at least no end that looks like one

function loud(got) {
    if (got.timeout) { return fail('the client waits for ever'); }
    if (got.status === 0) { return weak('no answer'); }

    if (got.status >= 400) {
        return typeof json(got.body)?.error?.message === 'string'
            ? pass(`status ${got.status}`) : weak(`status ${got.status}, no error that an SDK reads`);
    }

    const out = read(got.body);

    if (out.done) { return fail(out.error ? '[DONE] after an error' : 'looks complete'); }

    if (typeof out.error?.message === 'string') {
        return out.broken ? weak('an error behind half an event') : pass('an error event');
    }

    if (!got.complete) { return weak('cut, without an error'); }
    return fail(out.broken ? 'ends in half an event' : 'ends as if complete');
}


// a whole answer: an error, or a body that HTTP says is not all of it

function short(got) {
    if (got.status >= 400) { return loud(got); }
    if (got.timeout) { return fail('the client waits for ever'); }
    return got.complete ? fail('looks whole') : pass('cut: the length tells');
}


function secret(got, verdict) {
    return /acct-7788/.test(got.body) ? fail('tells the account of the operator') : verdict;
}


function packed(got) {
    if (got.headers['content-encoding']) {
        return weak('compressed, to a client that did not ask');
    }

    return got.status === 200 && !read(got.body).error ? complete(got) : loud(got);
}


// what the provider still does when the client has left

async function left({ aimed, provider, wait }, phase) {
    const call = aimed();
    const request = await Promise.race([provider.seen(aimed.id), call.done.then(() => undefined)]);

    if (!request) { return fail('the provider was not asked'); }

    if (phase === 'started') {
        await Promise.race([call.started, call.done]);
    } else {
        // waits: for what the gateway sends on of the little that it got, if it does
        await new Promise((resolve) => { setTimeout(resolve, 150); });
    }

    const start = Date.now();

    call.abort();

    const closed = await Promise.race([request.closed,
        // waits: a deadline
        new Promise((resolve) => { setTimeout(resolve, wait); })]);

    if (!closed) { return fail('the provider goes on'); }
    return closed - start < 1000 ? pass(`${Math.max(closed - start, 0)} ms`)
                                 : fail(`after ${closed - start} ms only`);
}


async function slow({ aimed, provider }) {
    const call = aimed();

    await call.started;
    call.pause();

    const request = await provider.seen(aimed.id);

    // waits: nothing tells when a gateway has taken all that it will
    await new Promise((resolve) => { setTimeout(resolve, 2000); });

    const held = request.sent;

    call.resume();

    const got = await call.done;
    const mb = Math.round(held / 1048576);

    if (got.timeout || !got.complete) { return fail('not all of it arrives'); }
    if (got.size < FLOOD) { return fail('not all of it arrives'); }
    return held < FLOOD / 2 ? pass(`${mb} MB on their way`) : fail(`${mb} MB are held`);
}


function hints(got) {
    if (got.status !== 429) { return fail(`status ${got.status}`); }

    return loud(got)[0] === 'pass' && got.headers['retry-after'] === '7'
        ? pass('status 429, Retry-After') : weak('status 429, without Retry-After or an error to read');
}


const usage = (got) => complete(got, (_, out) => (out.usage?.completion_tokens === 5
    ? pass('the last totals') : fail(`completion_tokens: ${out.usage?.completion_tokens}`)));

const signature = (got) => complete(got, (_, out) => (out.signature === SIGNATURE
    ? pass('2 MB in one line') : fail(`${out.signature} bytes of it`)));

const hidden = (got) => complete(got, (_, out) => (out.extra
    ? weak('a chunk without choices that nobody asked for') : pass()));

const asked = { stream_options: { include_usage: true } };
const stream = { stream: true };


// name, what it is, {fault, body, http2, tls}, judge(got) or run(tools)

export const cases = [
    ['plain-stream', 'a proper stream', { fault: 'plain', body: stream }, hidden],
    ['plain-whole', 'a proper answer', { fault: 'plain' }, complete],
    ['bytes', 'every byte a packet', { body: stream }, complete],
    ['split-utf8', 'packets end within characters', { fault: 'utf8', body: stream }, complete],
    ['crlf', 'CRLF line ends', { body: stream }, complete],
    ['comments', 'comments between events', { body: stream }, complete],
    ['late-token', '0.7 s before the first token', { body: stream }, complete],
    ['stall-header', 'never a header', { fault: 'stall-first' }, loud],
    ['stall-first', 'a header, never a token', { body: stream }, loud],
    ['stall-mid', 'silence after some tokens', { body: stream }, loud],
    ['cut-event', 'cut within an event', { body: stream }, loud],
    ['cut-between', 'cut between events', { body: stream }, loud],
    ['no-end', 'a proper end of HTTP, not of the answer', { body: stream }, loud],
    ['close-delimited', 'the same without chunks', { body: stream }, loud],
    ['cut-http2', 'cut within an event, HTTP/2', { fault: 'cut-event', body: stream, http2: true }, loud],
    ['no-end-http2', 'no end of the answer, HTTP/2', { fault: 'no-end', body: stream, http2: true }, loud],
    ['short-body', 'half of a whole answer', {}, short],
    ['short-chunked', 'the same in chunks', {}, short],
    ['short-close', 'the same, ended by the connection', {}, short],
    ['short-http2', 'half of a whole answer, HTTP/2', { fault: 'short-body', http2: true }, short],
    ['error-first', 'status 200, the first event is an error', { body: stream },
        (got) => secret(got, loud(got))],
    ['error-mid', 'an error after some tokens', { body: stream }, (got) => secret(got, loud(got))],
    ['error-whole', 'status 200, the answer is an error', {}, (got) => secret(got, loud(got))],
    ['raw-json', 'raw JSON of an error between events', { body: stream }, loud],
    ['usage', 'running totals in every chunk', { body: { ...stream, ...asked } }, usage],
    ['signature', 'a huge thought signature', { body: stream }, signature],
    ['gzip-stream', 'gzip that nobody asked for', { fault: 'gzip', body: stream }, packed],
    ['gzip-whole', 'the same of a whole answer', { fault: 'gzip' }, packed],
    ['type-stream', 'HTML in place of a stream', { fault: 'type', body: stream }, loud],
    ['type-whole', 'HTML in place of an answer', { fault: 'type' }, loud],
    ['limited-stream', '429 with hints when to retry', { fault: 'limited', body: stream }, hints],
    ['limited-whole', 'the same of a whole answer', { fault: 'limited' }, hints],
    ['tls', 'the TLS handshake fails', { fault: 'plain', tls: true, body: stream }, loud],
    ['slow-client', 'a client that stops reading 64 MB', { fault: 'flood', body: stream, run: slow }],
    ['abort-header', 'the client leaves before the header',
        { fault: 'silent', body: stream, run: (tools) => left(tools) }],
    ['abort-first', 'before the first token',
        { fault: 'stall-first', body: stream, run: (tools) => left(tools) }],
    ['abort-mid', 'in the stream',
        { fault: 'trickle', body: stream, run: (tools) => left(tools, 'started') }],
    ['abort-whole', 'before a whole answer', { fault: 'silent', run: (tools) => left(tools) }],
    ['abort-body', 'in a whole answer',
        { fault: 'half-body', run: (tools) => left(tools) }],
    ['reset-http2', 'RST_STREAM in the stream',
        { fault: 'trickle', body: stream, http2: true, run: (tools) => left(tools, 'started') }],
    ['reset-header', 'RST_STREAM before the header',
        { fault: 'silent', body: stream, http2: true, run: (tools) => left(tools) }],
];
