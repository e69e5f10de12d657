/**
 * The witness on Cloudflare: the same HTTP protocol as `catalyst-sre witness`, over one Durable Object per failover group.
 * Workers KV cannot hold a lease (README.md says why); it gets a copy for those who only want to look.
 */
import type {
  DurableObjectLocationHint,
  DurableObjectNamespace,
  DurableObjectState,
  ExecutionContext,
  KVNamespace,
  SqlStorage,
} from '@cloudflare/workers-types';
import {
  admissionRefusal,
  defaultMaxAgeMs,
  healthPath,
  type KnownRegion,
  maxRequestBytes,
  type Refusal,
  readAuthorization,
  readWriteRequest,
  refusal,
  signedText,
  type WriteRequest,
  writerRefusal,
} from '../../src/failover/witness/http-wire.ts';
import { writableText } from '../../src/failover/witness/lease-text.ts';

export interface Env {
  LEASES: DurableObjectNamespace;
  /** A copy of the current lease for readers, under `lease/<group>`. May be left out. */
  MIRROR?: KVNamespace;
  /** JSON: the regions this witness knows, `[{"name", "publicKey", "groups"?}]`. */
  REGIONS: string;
  /** Where objects are made: outside both regions. */
  LOCATION_HINT?: DurableObjectLocationHint;
}

/** What the Worker asks a register; the request itself was checked at the door. */
interface Question {
  region: string;
  write?: WriteRequest & { group: string };
}

// A Worker's entry is its default export; that is how workerd finds it.
// biome-ignore lint/style/noDefaultExport: see above
export default {
  async fetch(request: Request, env: Env, context: ExecutionContext): Promise<Response> {
    const url = new URL(request.url);
    if (url.pathname === healthPath) return Response.json({ status: 'ok', time: Date.now() });
    const group = /^\/v1\/leases\/([^/]+)$/.exec(url.pathname)?.[1];
    if (group === undefined || (request.method !== 'GET' && request.method !== 'POST'))
      return Response.json(
        { status: 404, code: 'NotFound', detail: `There is nothing at ${url.pathname}.` },
        { status: 404 },
      );
    const body = request.method === 'POST' ? await readText(request) : '';
    if (body === undefined)
      return problem(refusal(413, 'TooLarge', `A request to a witness has at most ${maxRequestBytes} bytes.`));
    const region = await admit(request, url, group, body, env);
    if (typeof region !== 'string') return problem(region);
    if (request.method === 'GET') return ask(env, group, { region });
    const write = readWriteRequest(group, body);
    if (typeof write === 'string') return problem(refusal(400, 'BadRequest', write));
    const answer = await ask(env, group, { region, write: { ...write, group } });
    if (env.MIRROR && answer.ok && ((await answer.clone().json()) as { result: string }).result === 'applied')
      // Readers see it up to a minute late, or not at all when KV is down. Nobody decides by it.
      context.waitUntil(
        env.MIRROR.put(`lease/${group}`, JSON.stringify(write.next)).catch((error: unknown) =>
          console.warn(String(error)),
        ),
      );
    return answer;
  },
};

async function ask(env: Env, group: string, question: Question): Promise<Response> {
  const id = env.LEASES.idFromName(group);
  const hint = env.LOCATION_HINT === undefined ? {} : { locationHint: env.LOCATION_HINT };
  const answer = await env.LEASES.get(id, hint).fetch('https://register/', {
    method: 'POST',
    body: JSON.stringify(question),
  });
  return new Response(await answer.text(), { status: answer.status, headers: { 'content-type': 'application/json' } });
}

/** The name of the region that made the request, or why it may not come in. */
async function admit(request: Request, url: URL, group: string, body: string, env: Env): Promise<string | Refusal> {
  const regions = JSON.parse(env.REGIONS) as KnownRegion[];
  const authorization = readAuthorization(request.headers.get('authorization'));
  const region = regions.find(({ name }) => name === authorization?.region);
  const signed =
    authorization &&
    signedText({ ...authorization, method: request.method, host: url.host, path: url.pathname + url.search, body });
  if (!authorization || !region || !(await isSigned(region.publicKey, signed ?? '', authorization.signature)))
    return refusal(401, 'Unauthenticated', 'The request is not signed by the key of a region this witness knows.');
  return admissionRefusal(authorization, region, group, Date.now(), defaultMaxAgeMs) ?? region.name;
}

async function isSigned(publicKey: string, text: string, signature: string): Promise<boolean> {
  const key = await crypto.subtle.importKey(
    'raw',
    bytesOf(publicKey.replace('ed25519:', '')),
    { name: 'Ed25519' },
    false,
    ['verify'],
  );
  return crypto.subtle.verify('Ed25519', key, bytesOf(signature), new TextEncoder().encode(text));
}

function bytesOf(base64url: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64url.replaceAll('-', '+').replaceAll('_', '/')), (character) =>
    character.charCodeAt(0),
  );
}

/** The body, or undefined when it is larger than any request of ours. */
async function readText(request: Request): Promise<string | undefined> {
  if (Number(request.headers.get('content-length') ?? maxRequestBytes + 1) > maxRequestBytes) return undefined;
  const text = await request.text();
  return new TextEncoder().encode(text).length > maxRequestBytes ? undefined : text;
}

function problem({ status, code, sentence }: Refusal): Response {
  return Response.json(
    { type: `urn:catalyst-sre:error:${code}`, status, code, detail: sentence },
    { status, headers: { 'content-type': 'application/problem+json; charset=utf-8' } },
  );
}

interface Row extends Record<string, string | number | null> {
  text: string;
  ttl_ms: number;
  written_at: number;
}

/**
 * One register. That there is only one of it is enforced when it is called and when it touches its storage, so it keeps
 * nothing in memory: a write is decided inside the one statement that writes, and answered after it is durable (the
 * output gate holds the answer until then).
 */
export class LeaseRegister {
  readonly #sql: SqlStorage;

  constructor(state: DurableObjectState) {
    this.#sql = state.storage.sql;
    this.#sql.exec(`CREATE TABLE IF NOT EXISTS lease (id INTEGER PRIMARY KEY CHECK (id = 1), epoch INTEGER NOT NULL,
      seq INTEGER NOT NULL, holder TEXT NOT NULL, ttl_ms INTEGER NOT NULL, text TEXT NOT NULL, written_at INTEGER NOT NULL)`);
  }

  async fetch(request: Request): Promise<Response> {
    const { region, write } = (await request.json()) as Question;
    if (write === undefined) return Response.json(this.#read());
    let text: string;
    try {
      text = writableText(write.group, write.expect, write.next);
    } catch (error) {
      return problem(refusal(400, 'BadRequest', error instanceof Error ? error.message : String(error)));
    }
    const { expect, next } = write;
    if (this.#write(region, write, text)) return Response.json({ result: 'applied', nonce: next.nonce });
    const { lease } = this.#read();
    const asExpected =
      (lease?.epoch ?? null) === (expect?.epoch ?? null) && (lease?.seq ?? null) === (expect?.seq ?? null);
    // The version was right, so it was the holder that forbade it.
    if (asExpected)
      return problem(writerRefusal(region, lease ?? undefined, next) ?? refusal(400, 'BadRequest', 'Refused.'));
    return Response.json({ result: 'conflict', nonce: next.nonce, current: lease });
  }

  #read() {
    const [row] = this.#sql.exec<Row>('SELECT text, ttl_ms, written_at FROM lease').toArray();
    if (row === undefined) return { lease: null, expired: null };
    return { lease: JSON.parse(row.text) as WriteRequest['next'], expired: Date.now() - row.written_at > row.ttl_ms };
  }

  /** Whether it was written. `writerRefusal` of the shared protocol, as a condition of the statement. */
  #write(region: string, { expect, next }: WriteRequest, text: string): boolean {
    const values = [next.epoch, next.seq, next.holder, next.ttlMs, text, Date.now()];
    const own = next.holder === region ? 1 : 0;
    const written =
      expect === undefined
        ? this.#sql.exec(
            'INSERT INTO lease SELECT 1, ?, ?, ?, ?, ?, ? WHERE ? AND NOT EXISTS (SELECT 1 FROM lease) RETURNING id',
            ...values,
            own,
          )
        : this.#sql.exec(
            `UPDATE lease SET epoch = ?, seq = ?, holder = ?, ttl_ms = ?, text = ?, written_at = ?
              WHERE epoch = ? AND seq = ? AND (? OR holder = ?) RETURNING id`,
            ...values,
            expect.epoch,
            expect.seq,
            own,
            region,
          );
    return written.toArray().length === 1;
  }
}
