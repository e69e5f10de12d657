/** The database's thread: it opens PGlite, carries out what it is asked, and answers with the number it was asked under. */
import { parentPort, workerData } from 'node:worker_threads';
import { PGlite, type Transaction } from '@electric-sql/pglite';

export type Question =
  | {
      id: number;
      kind: 'query';
      text: string;
      parameters: unknown[];
      rowMode: 'object' | 'array';
      /** Of the answer to `begin`; none: a transaction of its own. */
      transaction: number | undefined;
    }
  /** Answered by the number of the transaction, once it is the database's only one. */
  | { id: number; kind: 'begin' }
  | { id: number; kind: 'commit' | 'rollback'; transaction: number }
  | { id: number; kind: 'close' };

/** An error without its class, which does not pass between threads. */
export interface Refusal {
  message: string;
  /** The fields of PostgreSQL's error: code (SQLSTATE), detail, hint, constraint and others. */
  fields: Record<string, string>;
}

export type Answer = { id: number; result: unknown } | { id: number; refusal: Refusal };

interface OpenTransaction {
  tx: Transaction;
  /** Lets it commit, or roll back. */
  end: PromiseWithResolvers<void>;
  ended: Promise<void>;
}

if (parentPort) await serve(parentPort);

async function serve(port: NonNullable<typeof parentPort>): Promise<void> {
  const { directory } = workerData as { directory: string };
  const pglite = await PGlite.create(directory);
  const open = new Map<number, OpenTransaction>();
  port.on('message', async (question: Question) => {
    const { id } = question;
    try {
      port.postMessage({ id, result: await answer(pglite, open, question) } satisfies Answer);
    } catch (error) {
      port.postMessage({ id, refusal: refusalOf(error) } satisfies Answer);
    }
  });
  port.postMessage('ready');
}

async function answer(pglite: PGlite, open: Map<number, OpenTransaction>, question: Question): Promise<unknown> {
  switch (question.kind) {
    case 'query': {
      const { text, parameters, rowMode, transaction } = question;
      const { rows, affectedRows, fields } = await (transaction === undefined
        ? pglite
        : opened(open, transaction).tx
      ).query(text, parameters, { rowMode });
      return { rows, affectedRows, fields };
    }
    case 'begin':
      return begin(pglite, open, question.id);
    case 'commit':
    case 'rollback': {
      const { end, ended } = opened(open, question.transaction);
      open.delete(question.transaction);
      if (question.kind === 'commit') {
        end.resolve();
        return ended;
      }
      end.reject(rolledBack);
      return ended.catch((error) => {
        if (error !== rolledBack) throw error;
      });
    }
    case 'close':
      return pglite.close();
  }
}

const rolledBack = new Error('Rolled back, as asked.');

function begin(pglite: PGlite, open: Map<number, OpenTransaction>, transaction: number): Promise<number> {
  const end = Promise.withResolvers<void>();
  return new Promise((resolve, reject) => {
    const ended = pglite.transaction(async (tx) => {
      open.set(transaction, { tx, end, ended });
      resolve(transaction);
      await end.promise;
    });
    // It is heard by whoever ends the transaction; before it is open, by whoever began it.
    ended.catch(reject);
  });
}

function opened(open: Map<number, OpenTransaction>, transaction: number): OpenTransaction {
  const found = open.get(transaction);
  if (!found) throw new Error(`There is no transaction ${transaction}.`);
  return found;
}

function refusalOf(error: unknown): Refusal {
  if (!(error instanceof Error)) return { message: String(error), fields: {} };
  const fields = Object.entries(error).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  return { message: error.message, fields: Object.fromEntries(fields) };
}
