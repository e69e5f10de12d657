/** Three OpenBao servers with one Raft storage: each is sealed and unsealed on its own. */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { combine, split } from './shamir.ts';

/** A refusal, with the status and the words OpenBao has for it. */
export class BaoError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export const SHARES = 5;
export const THRESHOLD = 3;
/** OpenBao takes keys of 16 bytes up to its own 32, and one byte more for the share's number. */
const MIN_KEY_BYTES = 16;
const MAX_KEY_BYTES = 33;
const ROOT_KEY_BYTES = 32;
export const VERSION = '2.6.0';

const digest = (key: Buffer) => createHash('sha256').update(key).digest('hex');

export class BaoNode {
  readonly name: string;
  readonly #keyDigest: string;
  #sealed = true;
  #parts: Buffer[] = [];
  #nonce = '';

  constructor(name: string, keyDigest: string) {
    this.name = name;
    this.#keyDigest = keyDigest;
  }

  get sealed(): boolean {
    return this.#sealed;
  }

  /** How many shares of the unsealing under way it holds, and that unsealing's name. */
  get progress(): { progress: number; nonce: string } {
    return { progress: this.#parts.length, nonce: this.#nonce };
  }

  /** Takes one share; with the last one needed it unseals, or refuses them all and starts again. */
  unseal(text: string): void {
    const share = decodeShare(text);
    if (share.length < MIN_KEY_BYTES) {
      throw new BaoError(400, `invalid key: key is shorter than minimum ${MIN_KEY_BYTES} bytes`);
    }
    if (share.length > MAX_KEY_BYTES) {
      throw new BaoError(400, `invalid key: key is longer than maximum ${MAX_KEY_BYTES} bytes`);
    }
    // A share given twice counts once, and a server that is open has no use for it; neither is an error.
    if (!this.#sealed || this.#parts.some((part) => part.equals(share))) return;
    if (this.#parts.length === 0) this.#nonce = randomUUID();
    this.#parts.push(share);
    if (this.#parts.length < THRESHOLD) return;
    const isKey = digest(combine(this.#parts)) === this.#keyDigest;
    this.reset();
    if (!isKey) {
      throw new BaoError(400, 'failed to decrypt encrypted stored keys: cipher: message authentication failed');
    }
    this.#sealed = false;
  }

  /** Forgets the shares given so far. */
  reset(): void {
    this.#parts = [];
    this.#nonce = '';
  }

  /** Seals, as `sys/seal` or a restart of the process does. */
  seal(): void {
    this.reset();
    this.#sealed = true;
  }
}

function decodeShare(text: string): Buffer {
  const isHex = /^([0-9a-fA-F]{2})+$/.test(text);
  const hex = Buffer.from(isHex ? text : '', 'hex');
  if (isHex && hex.length >= MIN_KEY_BYTES && hex.length <= MAX_KEY_BYTES) return hex;
  const isBase64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text);
  if (!isBase64) throw new BaoError(400, "'key' must be a valid hex or base64 string");
  return Buffer.from(text, 'base64');
}

export class BaoCluster {
  readonly nodes: BaoNode[];
  /** The shares as `operator init` prints them: base64. */
  readonly shares: string[];
  readonly rootToken = `s.${randomBytes(18).toString('base64url')}`;
  readonly id = randomUUID();
  readonly clusterName = `vault-cluster-${randomBytes(4).toString('hex')}`;
  readonly #now: () => number;
  #leader: BaoNode | undefined;
  #activeSince = 0;

  constructor(names: string[], now: () => number) {
    const rootKey = randomBytes(ROOT_KEY_BYTES);
    this.shares = split(rootKey, SHARES, THRESHOLD).map((share) => share.toString('base64'));
    this.nodes = names.map((name) => new BaoNode(name, digest(rootKey)));
    this.#now = now;
  }

  node(name: string): BaoNode | undefined {
    return this.nodes.find((node) => node.name === name);
  }

  /** The active server. Raft elects one only while a majority is unsealed, and keeps it while it stays so. */
  get leader(): BaoNode | undefined {
    const open = this.nodes.filter((node) => !node.sealed);
    const hasQuorum = open.length > this.nodes.length / 2;
    const next = hasQuorum ? (this.#leader && !this.#leader.sealed ? this.#leader : open[0]) : undefined;
    if (next !== this.#leader) {
      this.#leader = next;
      this.#activeSince = this.#now();
    }
    return next;
  }

  /** When the leader became it, in milliseconds. */
  get activeSince(): number {
    return this.#activeSince;
  }

  /** Opens every server, as whoever set the Sovereign up did. */
  unsealAll(): void {
    for (const node of this.nodes) for (const share of this.shares.slice(0, THRESHOLD)) node.unseal(share);
  }
}
