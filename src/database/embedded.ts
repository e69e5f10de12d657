/**
 * The embedded database: PGlite, PostgreSQL compiled to WebAssembly, in a thread of its own. A statement keeps its thread
 * busy from beginning to end; on the main thread it would keep deliveries, the event stream and the next step of a run
 * waiting for as long. Here is the main thread's end of it, in the shape Kysely's dialect expects of PGlite.
 */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Answer, Question, Refusal } from './embedded-thread.ts';
import { inTransaction, type PGliteForKysely, type Query, type SessionTransaction } from './transaction.ts';

/** What is asked of the thread, without the number that the answer repeats. */
type Asked = Question extends infer Q ? (Q extends Question ? Omit<Q, 'id'> : never) : never;

/**
 * Opens the database in a directory; resolves when it takes statements. Who may open it is not checked here.
 *
 * Should the thread ever end by itself (out of memory, a fault in the WebAssembly), the process ends with its error:
 * nothing could be done without a database, and what was committed is there at the next start.
 */
export async function openEmbedded(directory: string): Promise<PGliteForKysely> {
  // What is built has another ending.
  const program = `./embedded-thread${extname(import.meta.filename)}`;
  const thread = new Worker(new URL(program, import.meta.url), {
    workerData: { directory },
    // It needs none of the secrets that stand in the environment.
    env: {},
    name: 'database',
  });
  await new Promise<void>((resolve, reject) => {
    thread.once('message', () => resolve());
    thread.once('error', reject);
  });
  thread.removeAllListeners('error');
  return new EmbeddedDatabase(thread);
}

class EmbeddedDatabase implements PGliteForKysely {
  readonly ready = true;
  readonly waitReady = Promise.resolve();
  closed = false;
  readonly #thread: Worker;
  readonly #asked = new Map<number, PromiseWithResolvers<unknown>>();
  #lastId = 0;

  constructor(thread: Worker) {
    this.#thread = thread;
    thread.on('message', (answer: Answer) => this.#settle(answer));
  }

  readonly query: Query = (text, parameters, options) => this.#query(text, parameters, options, undefined);

  transaction<T>(callback: (tx: Pick<SessionTransaction, 'query' | 'rollback'>) => Promise<T>): Promise<T> {
    return inTransaction(() => this.#begin(), callback);
  }

  async #begin(): Promise<SessionTransaction> {
    const transaction = (await this.#ask({ kind: 'begin' })) as number;
    const end = async (kind: 'commit' | 'rollback') => {
      await this.#ask({ kind, transaction });
    };
    return {
      query: (text, parameters, options) => this.#query(text, parameters, options, transaction),
      commit: () => end('commit'),
      rollback: () => end('rollback'),
    };
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    await this.#ask({ kind: 'close' });
    await this.#thread.terminate();
  }

  #query<T>(
    text: string,
    parameters: unknown[] | undefined,
    options: Parameters<Query>[2],
    transaction: number | undefined,
  ): ReturnType<typeof this.query<T>> {
    const rowMode = options?.rowMode ?? 'object';
    return this.#ask({ kind: 'query', text, parameters: parameters ?? [], rowMode, transaction }) as ReturnType<
      typeof this.query<T>
    >;
  }

  #ask(question: Asked): Promise<unknown> {
    // The words that `isConnectionError` knows: whoever still asks is told the database is away.
    if (this.closed && question.kind !== 'close') return Promise.reject(new Error('PGlite is closed'));
    const id = ++this.#lastId;
    const answer = Promise.withResolvers<unknown>();
    this.#asked.set(id, answer);
    this.#thread.postMessage({ ...question, id });
    return answer.promise;
  }

  #settle(answer: Answer): void {
    const asked = this.#asked.get(answer.id);
    this.#asked.delete(answer.id);
    if ('refusal' in answer) asked?.reject(errorOf(answer.refusal));
    else asked?.resolve(answer.result);
  }
}

/** An error with the fields of PostgreSQL's, as PGlite throws it: `code` is the SQLSTATE. */
function errorOf({ message, fields }: Refusal): Error {
  return Object.assign(new Error(message), fields);
}
