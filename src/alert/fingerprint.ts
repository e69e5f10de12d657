/** FNV-1a, 64 bits: offset basis and prime (2^40 + 0x1b3) as the algorithm's authors publish them. */
const offsetHigh = 0xcbf29ce4;
const offsetLow = 0x84222325;
const primeLow = 0x1b3;

/** The byte Prometheus puts after each name and each value: it cannot occur in UTF-8. */
const separator = 0xff;

const encoder = new TextEncoder();

/**
 * The fingerprint Prometheus and Alertmanager give a set of labels (`model.LabelSet.Fingerprint`): FNV-1a over name,
 * 0xFF, value, 0xFF of each label in the order of the names' bytes, as 16 hexadecimal digits.
 */
export function fingerprintOf(labels: Readonly<Record<string, string>>): string {
  const named = Object.entries(labels).map(([name, value]) => ({ name: Buffer.from(name), value }));
  named.sort((a, b) => Buffer.compare(a.name, b.name));
  const bytes: number[] = [];
  for (const { name, value } of named) bytes.push(...name, separator, ...encoder.encode(value), separator);
  return fnv1a64(bytes);
}

/** Arithmetic on two halves of 32 bits: ten times as fast as on a BigInt, and a storm hashes ten thousand label sets. */
export function fnv1a64(bytes: Iterable<number>): string {
  let high = offsetHigh;
  let low = offsetLow;
  for (const byte of bytes) {
    low = (low ^ byte) >>> 0;
    const product = low * primeLow;
    high = (Math.imul(high, primeLow) + Math.floor(product / 2 ** 32) + (low << 8)) >>> 0;
    low = product >>> 0;
  }
  return high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0');
}
