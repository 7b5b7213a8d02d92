/*
 * Keccak-256 (FIPS 202 permutation, original padding 0x01), for EIP-55
 * address checksums only.  Inputs are short; clarity before speed.
 */

const MASK = (1n << 64n) - 1n;

const ROUND = [];                    // iota constants, from the LFSR
for (let i = 0, lfsr = 1; i < 24; i++) {
  let constant = 0n;
  for (let j = 0; j < 7; j++) {
    if (lfsr & 1) constant |= 1n << BigInt((1 << j) - 1);
    lfsr = lfsr & 0x80 ? (lfsr << 1) ^ 0x171 : lfsr << 1;
  }
  ROUND.push(constant);
}

const rotate = (v, n) => ((v << n) | (v >> (64n - n))) & MASK;

function permute(a) {
  for (const constant of ROUND) {
    // theta
    const c = [0, 1, 2, 3, 4].map((x) => a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20]);
    for (let x = 0; x < 5; x++) {
      const d = c[(x + 4) % 5] ^ rotate(c[(x + 1) % 5], 1n);
      for (let y = 0; y < 25; y += 5) a[x + y] ^= d;
    }
    // rho and pi
    let x = 1, y = 0, lane = a[1];
    for (let t = 0; t < 24; t++) {
      [x, y] = [y, (2 * x + 3 * y) % 5];
      const next = a[x + 5 * y];
      a[x + 5 * y] = rotate(lane, BigInt(((t + 1) * (t + 2) / 2) % 64));
      lane = next;
    }
    // chi
    for (let row = 0; row < 25; row += 5) {
      const b = a.slice(row, row + 5);
      for (let i = 0; i < 5; i++) a[row + i] = b[i] ^ (~b[(i + 1) % 5] & MASK & b[(i + 2) % 5]);
    }
    // iota
    a[0] ^= constant;
  }
}

export function keccak256(bytes) {
  const rate = 136;
  const padded = new Uint8Array((Math.floor(bytes.length / rate) + 1) * rate);
  padded.set(bytes);
  padded[bytes.length] = 0x01;
  padded[padded.length - 1] |= 0x80;

  const a = new Array(25).fill(0n);
  const view = new DataView(padded.buffer);
  for (let block = 0; block < padded.length; block += rate) {
    for (let i = 0; i < rate / 8; i++) a[i] ^= view.getBigUint64(block + 8 * i, true);
    permute(a);
  }

  const out = new DataView(new ArrayBuffer(32));
  for (let i = 0; i < 4; i++) out.setBigUint64(8 * i, a[i], true);
  return new Uint8Array(out.buffer);
}

/* EIP-55: mixed-case checksum of a 20-byte hex address */
export function checksumAddress(address) {
  const hex = address.toLowerCase().replace(/^0x/, "");
  const hash = keccak256(new TextEncoder().encode(hex));
  return "0x" + [...hex].map((digit, i) =>
    (hash[i >> 1] >> (i % 2 ? 0 : 4)) & 8 ? digit.toUpperCase() : digit).join("");
}
