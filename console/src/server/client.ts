/** The API as the console asks it: JSON in, JSON out, every failure a problem that can be shown. */
import type { Problem } from './api-types.ts';

/** Longer than the server's own limit of 20 s for one request, so that its answer, not ours, says what went wrong. */
const patienceMs = 25_000;

/** What went wrong, as the server put it, or as the browser saw it. */
export class ServerError extends Error {
  readonly code: string;
  readonly status: number;
  readonly hint: string | undefined;
  constructor(problem: Pick<Problem, 'code' | 'detail' | 'status'> & { hint?: string | undefined }) {
    super(problem.detail);
    this.code = problem.code;
    this.status = problem.status;
    this.hint = problem.hint;
  }
}

/** Told when an answer says that nobody is logged in any more. */
let onLoggedOut: () => void = () => {};
/** What the header of every change repeats; see `GET /api/v1/session`. */
let csrf = '';

export function useSession(word: string, loggedOut: () => void): void {
  csrf = word;
  onLoggedOut = loggedOut;
}

export async function get<T>(path: string): Promise<T> {
  return ask<T>(path, {});
}

/** A command. Its key makes that a click carried out once stays carried out once, whatever the network does. */
export async function post<T>(path: string, body?: object): Promise<T> {
  const headers: Record<string, string> = { 'x-catalyst-sre-csrf': csrf, 'idempotency-key': newKey() };
  if (body) headers['content-type'] = 'application/json';
  return ask<T>(path, { method: 'POST', headers, ...(body ? { body: JSON.stringify(body) } : {}) });
}

/** What is not JSON: a document to read or to take along. */
export async function getText(path: string): Promise<string> {
  const answer = await request(path, {});
  return answer.ok ? answer.text() : fail(path, answer, await answer.json().catch(() => undefined));
}

async function ask<T>(path: string, init: RequestInit): Promise<T> {
  const answer = await request(path, init);
  const body: unknown = await answer.json().catch(() => undefined);
  // Not ready is an answer, with what is wrong in it.
  if (answer.ok || (path === '/readyz' && answer.status === 503)) return body as T;
  return fail(path, answer, body);
}

async function request(path: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(path, { ...init, signal: AbortSignal.timeout(patienceMs) });
  } catch {
    throw new ServerError({
      code: 'Unreachable',
      status: 0,
      detail: 'The server does not answer.',
      hint: 'Is it still running, and is this machine connected? It is tried again when the stream is back.',
    });
  }
}

function fail(path: string, answer: Response, body: unknown): never {
  const problem = body as Problem | undefined;
  if (answer.status === 401 && path !== '/api/v1/session') onLoggedOut();
  throw new ServerError(
    problem?.detail === undefined
      ? { code: 'Unexpected', status: answer.status, detail: `The server answered ${answer.status}.` }
      : problem,
  );
}

/** 128 random bits. Not `randomUUID`, which plain HTTP on another host than localhost does not have. */
function newKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The path with the parameters that are set. */
export function withQuery(path: string, query: Readonly<Record<string, string | number | undefined>>): string {
  const set = Object.entries(query).filter(([, value]) => value !== undefined && value !== '');
  const text = new URLSearchParams(set.map(([key, value]) => [key, String(value)]));
  return set.length === 0 ? path : `${path}${path.includes('?') ? '&' : '?'}${text}`;
}

export interface List<T> {
  items: T[];
  next?: string;
}
