/** Pods of OpenBao as far as sealing goes: each its own server, its own unseal under way, its own nonce. Shares are words; the right ones are given. */
import { randomUUID } from 'node:crypto';
import { serve, type TestServer } from '../support.ts';

export interface FakePod {
  sealed: boolean;
  initialized: boolean;
  type: string;
  nonce: string;
  given: Set<string>;
  /** Answers the next unseal with this instead. */
  next: [number, unknown] | undefined;
  active: boolean;
  server: TestServer;
}

export class FakeOpenBao {
  readonly pods: FakePod[] = [];
  readonly threshold: number;
  readonly rightShares: ReadonlySet<string>;

  private constructor(threshold: number, rightShares: readonly string[]) {
    this.threshold = threshold;
    this.rightShares = new Set(rightShares);
  }

  static async start(count: number, threshold: number, rightShares: readonly string[]): Promise<FakeOpenBao> {
    const fake = new FakeOpenBao(threshold, rightShares);
    for (let ordinal = 0; ordinal < count; ordinal++) {
      const pod: FakePod = {
        sealed: true,
        initialized: true,
        type: 'shamir',
        nonce: '',
        given: new Set(),
        next: undefined,
        active: ordinal === 0,
        server: undefined as unknown as TestServer,
      };
      pod.server = await serve(({ method, url, body }) => fake.#answer(pod, method, url.pathname, body));
      fake.pods.push(pod);
    }
    return fake;
  }

  get addresses(): string[] {
    return this.pods.map(({ server }) => server.url);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.pods.map(({ server }) => server[Symbol.asyncDispose]()));
  }

  #answer(pod: FakePod, method: string, path: string, body: string): [number, unknown] {
    if (path === '/v1/sys/health') return [pod.sealed ? 503 : pod.active ? 200 : 429, {}];
    if (path === '/v1/sys/seal-status') return [200, this.#status(pod)];
    if (path !== '/v1/sys/unseal' || method !== 'POST') return [404, { errors: [] }];
    if (pod.next !== undefined) {
      const answer = pod.next;
      pod.next = undefined;
      return answer;
    }
    const { key, reset } = JSON.parse(body) as { key?: string; reset?: boolean };
    if (reset === true || key === undefined) return [400, { errors: ['the test allows no reset'] }];
    if (pod.nonce === '') pod.nonce = randomUUID();
    pod.given.add(key);
    if (pod.given.size < this.threshold) return [200, this.#status(pod)];
    const right = [...pod.given].every((share) => this.rightShares.has(share));
    pod.given.clear();
    pod.nonce = '';
    // The real one is not that careless, but a proxy in front of it could be.
    if (!right)
      return [
        400,
        { errors: [`failed to decrypt keys from storage with ${key}: cipher: message authentication failed`] },
      ];
    pod.sealed = false;
    return [200, this.#status(pod)];
  }

  #status(pod: FakePod): unknown {
    const { type, initialized, sealed, given, nonce } = pod;
    return {
      type,
      initialized,
      sealed,
      t: this.threshold,
      n: 5,
      progress: given.size,
      nonce,
      version: '2.6.0',
      commit_date: '2026-08-18T00:00:00Z',
      migration: false,
    };
  }
}
