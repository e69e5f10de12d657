/**
 * PostgreSQL by URL: pools of connections on which a statement that comes again is prepared once: to parse and to plan one
 * costs the server more than most of ours cost to carry out. docs/benchmarks.md says what it brought.
 */
import { Kysely, PostgresDialect, type PostgresPool, type PostgresPoolClient } from 'kysely';
import type { Pool, PoolClient } from 'pg';
import type { Database, Tables } from './tables.ts';
import { preparable } from './transaction.ts';

/** How long one statement may take before the server cancels it; no query of ours is meant to take a second. */
const statementTimeoutMs = 15_000;
/** How long to wait for a free connection or a new one: an outage shows as Unavailable well inside Alertmanager's 10 s. */
const connectTimeoutMs = 5_000;

export interface PostgresLocation {
  /** `postgres://user@host/database`. */
  url: string;
  /**
   * Connections at most, for all but the intake. Default ten: processing, engine, API and a listener each hold one at a
   * time; more only adds contention on two cores.
   */
  poolSize?: number;
}

/** One database by two pools; nothing is connected before the first statement. */
export async function connectPostgres({ url, poolSize = 10 }: PostgresLocation): Promise<{
  db: Database;
  intake: Database;
}> {
  const { default: pg } = await import('pg');
  const types = new pg.TypeOverrides();
  // Identities and counters stay far below 2^53, where a JavaScript number is exact.
  types.setTypeParser(pg.types.builtins.INT8, Number);
  // Times come in UTC, as the connections ask for it below; what looks otherwise (infinity, years BC) is left to the library.
  const anyTime = pg.types.getTypeParser(pg.types.builtins.TIMESTAMPTZ);
  types.setTypeParser(pg.types.builtins.TIMESTAMPTZ, (text) => {
    const time = new Date(`${text.slice(0, 10)}T${text.slice(11, -3)}Z`);
    return text.endsWith('+00') && !Number.isNaN(time.getTime()) ? time : anyTime(text);
  });
  const names = new StatementNames();
  const connect = (max: number) => {
    const pool = new pg.Pool({
      connectionString: url,
      max,
      connectionTimeoutMillis: connectTimeoutMs,
      statement_timeout: statementTimeoutMs,
      idle_in_transaction_session_timeout: statementTimeoutMs,
      application_name: 'catalyst-sre',
      // Compiling a query takes longer than our largest one runs.
      options: '-c jit=off -c timezone=UTC',
      types,
    });
    // An idle connection that breaks is replaced by the pool at the next use; without a listener it would end the process.
    pool.on('error', () => {});
    // The same for one that breaks while it is in use: whoever uses it gets the error from its query.
    pool.on('connect', (client) => client.on('error', () => {}));
    return new Kysely<Tables>({ dialect: new PostgresDialect({ pool: new PreparingPool(pool, names) }) });
  };
  // For the intake: two commits under way, and a third connection for when one hangs.
  return { db: connect(poolSize), intake: connect(3) };
}

/** A statement is prepared when it comes for the third time: one that is made up for an occasion never is. */
const timesUntilPrepared = 3;
/** Statements prepared at most, each once a connection; the product has some two hundred, a few of them in several lengths. */
const preparedAtMost = 300;
/**
 * The server may settle on a plan made for any parameters, and made while a table was small; it thinks again when it has
 * gathered statistics, a minute later or more. So plans are let go after so long, ms.
 */
const ageOfPlans = 30_000;

/**
 * The server does not know a prepared statement as it was (PostgreSQL, appendix A): its table has been changed by a newer
 * version of the product, or a pooler in between shares connections without knowing of statements.
 */
const notAsPrepared: readonly unknown[] = ['0A000', '26000', '42P05'];

/** Which statements are prepared, and under which name: the same on every connection. */
class StatementNames {
  readonly #seen = new Map<string, number>();
  readonly #names = new Map<string, string>();
  #off = false;

  /** Undefined when it is not to be prepared. */
  of(text: string): string | undefined {
    if (this.#off) return undefined;
    const known = this.#names.get(text);
    if (known !== undefined || this.#names.size >= preparedAtMost || !preparable.test(text)) return known;
    const seen = (this.#seen.get(text) ?? 0) + 1;
    // Texts that have been seen are counted for as long as there are few of them.
    if (this.#seen.size >= 10 * preparedAtMost) this.#seen.clear();
    this.#seen.set(text, seen);
    if (seen < timesUntilPrepared) return undefined;
    const name = `catalyst_sre_${this.#names.size + 1}`;
    this.#seen.delete(text);
    this.#names.set(text, name);
    return name;
  }

  /** From now on nothing is prepared, and nothing that was is used. */
  turnOff(): void {
    this.#off = true;
  }
}

class PreparingPool implements PostgresPool {
  readonly #pool: Pool;
  readonly #names: StatementNames;
  readonly #connections = new WeakMap<PoolClient, PreparingConnection>();

  constructor(pool: Pool, names: StatementNames) {
    this.#pool = pool;
    this.#names = names;
  }

  get options(): object {
    return this.#pool.options;
  }

  async connect(): Promise<PostgresPoolClient> {
    const client = await this.#pool.connect();
    // One and the same for a client: Kysely tells connections apart by it.
    let connection = this.#connections.get(client);
    if (!connection) {
      connection = new PreparingConnection(client, this.#names);
      this.#connections.set(client, connection);
    }
    return connection;
  }

  end(): Promise<void> {
    return this.#pool.end();
  }
}

/** As Kysely asks it: by text and parameters. We have nothing that it would ask by a cursor. */
class PreparingConnection implements PostgresPoolClient {
  readonly #client: PoolClient;
  readonly #names: StatementNames;
  #plannedAt = performance.now();

  constructor(client: PoolClient, names: StatementNames) {
    this.#client = client;
    this.#names = names;
  }

  readonly query: PostgresPoolClient['query'] = ((text: string, values: unknown[]) =>
    this.#query(text, values)) as PostgresPoolClient['query'];

  release(destroy?: boolean): void {
    this.#client.release(destroy);
  }

  async #query(text: string, values: unknown[]): Promise<unknown> {
    const name = this.#names.of(text);
    if (name === undefined) return this.#client.query(text, values);
    const now = performance.now();
    if (now - this.#plannedAt >= ageOfPlans) {
      this.#plannedAt = now;
      await this.#client.query('DISCARD PLANS');
    }
    try {
      return await this.#client.query({ name, text, values });
    } catch (error) {
      if (error instanceof Error && 'code' in error && notAsPrepared.includes(error.code)) this.#names.turnOff();
      throw error;
    }
  }
}
