/** Shamir's secret sharing over GF(2^8), byte by byte, with the x-coordinate as each share's last byte. */
import { randomBytes } from 'node:crypto';

/** Multiplication modulo x^8 + x^4 + x^3 + x + 1, the polynomial of AES. */
function multiply(a: number, b: number): number {
  let product = 0;
  for (let left = a, right = b; right > 0; right >>= 1) {
    if (right & 1) product ^= left;
    left = (left << 1) ^ (left & 0x80 ? 0x11b : 0);
  }
  return product;
}

/** a^254 = a^-1 in a field of 256 elements. */
function inverse(a: number): number {
  let result = 1;
  for (let n = 0; n < 254; n++) result = multiply(result, a);
  return result;
}

/** Cuts a secret into `count` shares, any `threshold` of which give it back. */
export function split(secret: Uint8Array, count: number, threshold: number): Buffer[] {
  const coefficients = [...secret].map((byte) => [byte, ...randomBytes(threshold - 1)]);
  return Array.from({ length: count }, (_, n) => {
    const x = n + 1;
    const values = coefficients.map((polynomial) => polynomial.reduceRight((sum, c) => multiply(sum, x) ^ c, 0));
    return Buffer.from([...values, x]);
  });
}

/** The secret that the shares determine: with a wrong or missing share, some other bytes. */
export function combine(shares: Buffer[]): Buffer {
  const length = Math.min(...shares.map((share) => share.length)) - 1;
  const xs = shares.map((share) => share.at(-1) ?? 0);
  const weights = xs.map((x, i) =>
    xs.reduce((weight, other, j) => (i === j ? weight : multiply(weight, multiply(other, inverse(other ^ x)))), 1),
  );
  const byteAt = (at: number) => shares.reduce((sum, share, i) => sum ^ multiply(share[at] ?? 0, weights[i] ?? 0), 0);
  return Buffer.from(Array.from({ length }, (_, at) => byteAt(at)));
}
