// A JSON-RPC proxy that fails on demand, for tests.
//
//   node proxy.mjs PORT UPSTREAM_URL
//
// POST /fault arms faults, each of which happens once, at the next call of
// its method:
//   {"method", "when": "before" | "after", "kill": [pid...], "answer"}
// before: the call is not forwarded; after: it is, and its answer is lost.
// answer: "drop" closes the connection (default), "html" is a 502 page,
// "error" an unknown JSON-RPC error, "null" a result of null.  kill sends
// SIGKILL to the processes first.
// GET /faults lists what is still armed, GET /calls counts calls by method.

import http from 'node:http';

const [port, upstream] = process.argv.slice(2);

let faults = [];
const calls = {};

const read = async (stream) => {
  const parts = [];

  for await (const part of stream) {
    parts.push(part);
  }

  return Buffer.concat(parts).toString();
};

const json = (res, value, status = 200) => {
  res.writeHead(status, { 'Content-Type': 'application/json' });
  res.end(JSON.stringify(value));
};

const forward = async (body) => {
  const answer = await fetch(upstream, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body,
  });

  return [answer.status, await answer.text()];
};

const fail = (fault, call, res) => {
  // listed until it has happened
  faults = faults.filter((f) => f !== fault);

  for (const pid of fault.kill ?? []) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // it was gone already
    }
  }

  switch (fault.answer ?? 'drop') {
    case 'html':
      res.writeHead(502, { 'Content-Type': 'text/html' });
      res.end('<html><body>502 Bad Gateway</body></html>');
      break;
    case 'error':
      json(res, { jsonrpc: '2.0', id: call.id,
                  error: { code: -32603, message: 'internal error' } });
      break;
    case 'null':
      json(res, { jsonrpc: '2.0', id: call.id, result: null });
      break;
    default:
      res.socket.destroy();
  }
};

http.createServer(async (req, res) => {
  const body = await read(req);

  if (req.url === '/fault') {
    faults.push(JSON.parse(body));
    return json(res, faults);
  }

  if (req.url === '/faults') {
    return json(res, faults);
  }

  if (req.url === '/calls') {
    return json(res, calls);
  }

  const call = JSON.parse(body);
  calls[call.method] = (calls[call.method] ?? 0) + 1;

  const fault = faults.find((f) => f.method === call.method && !f.taken);

  if (fault) {
    fault.taken = true;
  }

  if (fault?.when === 'before') {
    return fail(fault, call, res);
  }

  const [status, text] = await forward(body);

  if (fault) {
    return fail(fault, call, res);
  }

  res.writeHead(status, { 'Content-Type': 'application/json' });
  res.end(text);
}).listen(Number(port), '127.0.0.1', () => console.log('ready'));
