/** The database's thread: it opens PGlite, carries out what it is asked, and answers with the number it was asked under. */
import { parentPort, workerData } from 'node:worker_threads';
import { PGlite } from '@electric-sql/pglite';
import { Session } from './session.ts';
import type { SessionTransaction } from './transaction.ts';

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

if (parentPort) await serve(parentPort);

async function serve(port: NonNullable<typeof parentPort>): Promise<void> {
  const { directory } = workerData as { directory: string };
  const session = new Session(await PGlite.create(directory));
  const open = new Map<number, SessionTransaction>();
  port.on('message', async (question: Question) => {
    const { id } = question;
    try {
      port.postMessage({ id, result: await answer(session, open, question) } satisfies Answer);
    } catch (error) {
      port.postMessage({ id, refusal: refusalOf(error) } satisfies Answer);
    }
  });
  port.postMessage('ready');
}

async function answer(session: Session, open: Map<number, SessionTransaction>, question: Question): Promise<unknown> {
  switch (question.kind) {
    case 'query': {
      const { text, parameters, rowMode, transaction } = question;
      return (transaction === undefined ? session : opened(open, transaction)).query(text, parameters, { rowMode });
    }
    case 'begin':
      open.set(question.id, await session.begin());
      return question.id;
    case 'commit':
    case 'rollback': {
      const transaction = opened(open, question.transaction);
      open.delete(question.transaction);
      return transaction[question.kind]();
    }
    case 'close':
      return session.close();
  }
}

function opened(open: Map<number, SessionTransaction>, transaction: number): SessionTransaction {
  const found = open.get(transaction);
  if (!found) throw new Error(`There is no transaction ${transaction}.`);
  return found;
}

function refusalOf(error: unknown): Refusal {
  if (!(error instanceof Error)) return { message: String(error), fields: {} };
  const fields = Object.entries(error).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  return { message: error.message, fields: Object.fromEntries(fields) };
}
