/**
 * One session with PGlite that remembers what it was asked. PGlite's own `query` has every statement parsed, described and
 * planned anew, in six messages; here a statement that comes again is prepared once and then costs one message, and the
 * planner works when a plan is due. In WebAssembly planning costs more than carrying out; docs/benchmarks.md says what it
 * brought.
 */
import { messages, type PGlite, protocol, types } from '@electric-sql/pglite';
import { inTransaction, type PGliteForKysely, preparable, type Query, type SessionTransaction } from './transaction.ts';

interface Prepared {
  /** Empty: the unnamed statement, which the next one replaces. */
  name: string;
  /** Of its parameters, as PostgreSQL inferred them. */
  parameterTypes: readonly number[];
  fields: readonly { name: string; dataTypeID: number }[];
  uses: number;
  preparedAt: number;
}

/** Statements kept prepared: the product has some two hundred, a few of them in several lengths. */
const keptStatements = 500;
/**
 * PostgreSQL may settle on a plan made for any parameters, and made while a table was small; nothing tells it that the
 * table has grown. So a plan is thought of again after so many uses and so long, ms.
 */
const usesOfAPlan = 200;
const ageOfAPlan = 60_000;

/** After one of these all plans are made anew. */
const changesTables = /^\s*(create|alter|drop|truncate)\b/i;

export class Session implements PGliteForKysely {
  readonly ready = true;
  readonly waitReady = Promise.resolve();
  readonly #pglite: PGlite;
  /** By text, least lately used first; undefined: seen once, and worth preparing when it is seen again. */
  readonly #statements = new Map<string, Prepared | undefined>();
  /** Statements that are to be forgotten with the next message. */
  #forgotten: string[] = [];
  #names = 0;
  #turn: Promise<void> = Promise.resolve();
  #message: Promise<unknown> = Promise.resolve();

  /** @param pglite ready, and used by nobody else from now on */
  constructor(pglite: PGlite) {
    this.#pglite = pglite;
  }

  get closed(): boolean {
    return this.#pglite.closed;
  }

  readonly query: Query = async (text, parameters, options) => {
    const release = await this.#takeTurn();
    try {
      return await this.#query(text, parameters, options, true);
    } finally {
      release();
    }
  };

  /** Waits until no other transaction is open. */
  async begin(): Promise<SessionTransaction> {
    const release = await this.#takeTurn();
    const end = async (statement: 'COMMIT' | 'ROLLBACK') => {
      try {
        return await this.#send([protocol.serialize.query(statement)], true);
      } finally {
        release();
      }
    };
    try {
      await this.#send([protocol.serialize.query('BEGIN')], false);
    } catch (error) {
      release();
      throw error;
    }
    return {
      query: (text, parameters, options) => this.#query(text, parameters, options, false),
      commit: async () => {
        const answer = await end('COMMIT');
        if (completed(answer).some(({ text }) => text === 'ROLLBACK'))
          throw Object.assign(new Error('The transaction was rolled back: a statement in it had failed.'), {
            code: '25P02',
          });
      },
      rollback: async () => {
        await end('ROLLBACK');
      },
    };
  }

  transaction<T>(callback: (tx: Pick<SessionTransaction, 'query' | 'rollback'>) => Promise<T>): Promise<T> {
    return inTransaction(() => this.begin(), callback);
  }

  async close(): Promise<void> {
    const release = await this.#takeTurn();
    try {
      if (!this.closed) await this.#pglite.close();
    } finally {
      release();
    }
  }

  /** One at a time: a transaction from its beginning to its end, or a statement of its own. */
  async #takeTurn(): Promise<() => void> {
    const turn = Promise.withResolvers<void>();
    const before = this.#turn;
    this.#turn = turn.promise;
    await before;
    return turn.resolve;
  }

  async #query<T>(
    text: string,
    parameters: readonly unknown[] = [],
    options: Parameters<Query>[2],
    endsTransaction: boolean,
  ): ReturnType<typeof this.query<T>> {
    const statement = await this.#prepared(text);
    const values = parameters.map((value, index) => this.#serialized(value, statement.parameterTypes[index]));
    const { bind, execute } = protocol.serialize;
    const answer = await this.#send([bind({ statement: statement.name, values }), execute({})], endsTransaction);
    if (changesTables.test(text)) this.#forgetAll();
    return this.#results<T>(answer, statement.fields, options?.rowMode ?? 'object');
  }

  async #prepared(text: string): Promise<Prepared> {
    const known = this.#statements.get(text);
    const seen = this.#statements.has(text);
    this.#statements.delete(text);
    const now = Date.now();
    if (known && known.uses < usesOfAPlan && now - known.preparedAt < ageOfAPlan) {
      known.uses += 1;
      this.#statements.set(text, known);
      return known;
    }
    if (known) this.#forgotten.push(known.name);
    const name = seen && preparable.test(text) ? `s${++this.#names}` : '';
    const { parse, describe } = protocol.serialize;
    const answer = await this.#send([parse({ name, text }), describe({ type: 'S', name })], false);
    const statement: Prepared = { name, parameterTypes: [], fields: [], uses: 1, preparedAt: now };
    for (const message of answer) {
      if (message instanceof messages.ParameterDescriptionMessage) statement.parameterTypes = message.dataTypeIDs;
      if (message instanceof messages.RowDescriptionMessage)
        statement.fields = message.fields.map(({ name, dataTypeID }) => ({ name, dataTypeID }));
    }
    if (preparable.test(text)) this.#statements.set(text, name === '' ? undefined : statement);
    this.#makeRoom();
    return statement;
  }

  #makeRoom(): void {
    for (const [text, statement] of this.#statements) {
      if (this.#statements.size <= keptStatements) return;
      this.#statements.delete(text);
      if (statement) this.#forgotten.push(statement.name);
    }
  }

  #forgetAll(): void {
    for (const statement of this.#statements.values()) if (statement) this.#forgotten.push(statement.name);
    this.#statements.clear();
  }

  #serialized(value: unknown, type: number | undefined): string | null {
    if (value === null || value === undefined) return null;
    const serializer = type === undefined ? undefined : this.#pglite.serializers[type];
    return serializer ? serializer(value) : String(value);
  }

  /**
   * Sends messages in one go and waits for the answer to all of them.
   * @throws PostgreSQL's error, after which the session takes the next messages
   */
  #send(parts: readonly Uint8Array[], endsTransaction: boolean): Promise<Message[]> {
    const { close, sync } = protocol.serialize;
    const forgotten = this.#forgotten.map((name) => close({ type: 'S', name }));
    this.#forgotten = [];
    const bytes = Buffer.concat([...forgotten, ...parts, sync()]);
    // What PGlite keeps of an answer is the next answer's from the moment on it is asked: one at a time.
    const answer = this.#message.then(() => this.#pglite.execProtocolStream(bytes, { syncToFs: endsTransaction }));
    this.#message = answer.catch(() => {});
    return answer;
  }

  #results<T>(
    answer: readonly Message[],
    fields: Prepared['fields'],
    rowMode: 'object' | 'array',
  ): Awaited<ReturnType<typeof this.query<T>>> {
    const { parsers } = this.#pglite;
    const rows: unknown[] = [];
    for (const message of answer) {
      if (!(message instanceof messages.DataRowMessage)) continue;
      const values = message.fields.map((value, index) =>
        types.parseType(value, fields[index]?.dataTypeID ?? types.TEXT, parsers),
      );
      rows.push(
        rowMode === 'array' ? values : Object.fromEntries(fields.map(({ name }, index) => [name, values[index]])),
      );
    }
    const affectedRows = completed(answer).reduce((sum, { text }) => sum + affectedBy(text), 0);
    return { rows: rows as T[], fields: [...fields], affectedRows };
  }
}

type Message = Awaited<ReturnType<PGlite['execProtocolStream']>>[number];

function completed(answer: readonly Message[]): InstanceType<typeof messages.CommandCompleteMessage>[] {
  return answer.filter((message) => message instanceof messages.CommandCompleteMessage);
}

/** "INSERT 0 5", "UPDATE 5", "DELETE 5" (PostgreSQL, frontend/backend protocol: CommandComplete); 0 for all others. */
function affectedBy(tag: string): number {
  return Number(/^(?:INSERT \d+|UPDATE|DELETE) (\d+)$/.exec(tag)?.[1] ?? 0);
}
