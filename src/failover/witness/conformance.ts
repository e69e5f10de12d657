/**
 * What every witness must be able to do, as checks that run against the store itself: the test suite runs them over each
 * store, `catalyst-sre witness check` and pre-flight over the one that is configured. An eventually consistent store
 * fails them. They write only to the register they are given, and go on from whatever it holds.
 */
import type { Clock } from '../../clock.ts';
import { messageOf } from '../../errors.ts';
import type { Lease, LeaseVersion } from '../lease.ts';
import { historyProblem, type Operation } from './history.ts';
import type { CasAnswer, Witness, WitnessContext, WitnessRead } from './witness.ts';

export interface ConformanceOptions {
  /** A register nobody else writes while this runs. */
  group: string;
  /** The region whose name the leases bear: our own witness lets a region write no other. */
  holder: string;
  /** Opens a client of its own connection, as another region would have. */
  open: (name: string) => Witness;
  clock: Clock;
  /** Random text for nonces, different for every run. */
  run: string;
  signal: AbortSignal;
  /** Called as each check ends. */
  onResult?: (result: CheckResult) => void;
}

export interface CheckResult {
  name: string;
  /** `cannot-tell`: the store keeps no clock of its own. The protocol then relies on the standby's. */
  outcome: 'passed' | 'failed' | 'cannot-tell';
  /** What was seen, where it failed. */
  sentence: string;
  /** It failed as the store could not be asked: that says nothing about what it keeps. */
  brokeOff: boolean;
}

export interface ConformanceReport {
  passed: boolean;
  results: readonly CheckResult[];
  /** Times of single reads and writes, ms, ascending. */
  latencies: readonly number[];
}

/** How long one call may take: the time in which a witness must have answered a renewal is a fifth of this. */
const callLimitMs = 10_000;
/** As many as there will never be at once: two regions with three controllers each, some of them retrying. */
const racers = 16;

/** What the checks share: two clients, the version the register has, and how it is written. */
class Register {
  readonly #options: ConformanceOptions;
  readonly clients: readonly [Witness, Witness];
  readonly latencies: number[] = [];
  /** Whether calls are timed: only while nobody else is calling. */
  measuring = false;
  #writes = 0;

  constructor(options: ConformanceOptions) {
    this.#options = options;
    this.clients = [options.open('here'), options.open('there')];
  }

  get clock(): Clock {
    return this.#options.clock;
  }

  read(client: Witness): Promise<WitnessRead> {
    return this.#timed((context) => client.read(this.#options.group, context));
  }

  write(client: Witness, expect: LeaseVersion | undefined, next: Lease): Promise<CasAnswer> {
    return this.#timed((context) => client.compareAndSet(this.#options.group, expect, next, context));
  }

  /** Waits by the machine's clock, or the one passed in. */
  sleep(ms: number): Promise<void> {
    return this.clock.sleep(ms, this.#options.signal);
  }

  /** A lease of a new epoch that replaces `before`. */
  taken(before: LeaseVersion | undefined, ttlMs = 30_000): Lease {
    return this.#lease((before?.epoch ?? 0) + 1, (before?.seq ?? 0) + 1, ttlMs);
  }

  /** A renewal of `before`. */
  renewed(before: Lease, ttlMs = before.ttlMs): Lease {
    return this.#lease(before.epoch, before.seq + 1, ttlMs);
  }

  /** Takes the register over, whatever it holds; for checks that need a known start. */
  async claim(ttlMs = 30_000): Promise<Lease> {
    const [here] = this.clients;
    const { lease } = await this.read(here);
    const next = this.taken(lease, ttlMs);
    const answer = await this.write(here, lease, next);
    if (answer.result !== 'applied') throw new Error('somebody else writes this register while it is being checked');
    return next;
  }

  async close(): Promise<void> {
    for (const client of this.clients) await client.close();
  }

  #lease(epoch: number, seq: number, ttlMs: number): Lease {
    const { group, holder } = this.#options;
    const nonce = `${this.#options.run}-${++this.#writes}`;
    const acquiredBy = { mode: 'Manual' as const, actor: 'conformance', reason: 'self-check of the witness' };
    return { group, holder, epoch, seq, ttlMs, nonce, acquiredBy, payload: null };
  }

  async #timed<T>(call: (context: WitnessContext) => Promise<T>): Promise<T> {
    const over = new AbortController();
    const limit = new AbortController();
    this.clock.sleep(callLimitMs, over.signal).then(
      () => limit.abort(new Error(`no answer within ${callLimitMs / 1000} s`)),
      () => {},
    );
    const started = this.clock.monotonic();
    try {
      return await call({ signal: AbortSignal.any([this.#options.signal, limit.signal]) });
    } finally {
      over.abort();
      if (this.measuring) this.latencies.push(this.clock.monotonic() - started);
    }
  }
}

/** Resolves with what went wrong, with nothing when it passed, with `cannot-tell` when the store cannot be asked. */
type Check = (register: Register) => Promise<string | undefined>;
const cannotTell = 'cannot-tell';

const checks: Readonly<Record<string, Check>> = {
  'one of many concurrent acquisitions wins': async (register) => {
    const { lease } = await register.read(register.clients[0]);
    const attempts = Array.from({ length: racers }, (_, i) => ({
      client: register.clients[i % 2 === 0 ? 0 : 1],
      next: register.taken(lease),
    }));
    const answers = await Promise.all(attempts.map(({ client, next }) => register.write(client, lease, next)));
    const winners = attempts.filter((_, i) => answers[i]?.result === 'applied');
    if (winners.length !== 1) return `${winners.length} of ${racers} were told that they hold the lease`;
    const after = await register.read(register.clients[1]);
    const kept = winners[0]?.next.nonce;
    return after.lease?.nonce === kept ? undefined : `the register holds another write than the one that won`;
  },
  'a write over a version that was replaced is refused, with what is there': async (register) => {
    const first = await register.claim();
    const second = register.renewed(first);
    await register.write(register.clients[0], first, second);
    const late = register.taken(first);
    return refusedWith(await register.write(register.clients[1], first, late), second);
  },
  'a first write is refused once there is a lease': async (register) => {
    const first = await register.claim();
    return refusedWith(await register.write(register.clients[1], undefined, register.taken(undefined)), first);
  },
  'a renewal that comes twice is applied once, and is recognised by its nonce': async (register) => {
    const first = await register.claim();
    const renewal = register.renewed(first);
    const once = await register.write(register.clients[0], first, renewal);
    if (once.result !== 'applied') return 'a renewal of the current version was refused';
    return refusedWith(await register.write(register.clients[0], first, renewal), renewal);
  },
  'a renewal that comes after a takeover is refused': async (register) => {
    const first = await register.claim();
    const takeover = register.taken(first);
    if ((await register.write(register.clients[1], first, takeover)).result !== 'applied')
      return 'a takeover was refused';
    return refusedWith(await register.write(register.clients[0], first, register.renewed(first)), takeover);
  },
  'a write is seen by everybody as soon as it is answered': async (register) => {
    let held = await register.claim();
    register.measuring = true;
    // A store that is right only most of the time has ten chances to show it, from both sides.
    for (let i = 0; i < 10; i++) {
      const next = register.renewed(held);
      const [writer, reader] = i % 2 === 0 ? register.clients : [register.clients[1], register.clients[0]];
      if ((await register.write(writer, held, next)).result !== 'applied')
        return 'a renewal of the current version was refused';
      const { lease } = await register.read(reader);
      if (lease?.nonce !== next.nonce)
        return `version ${next.seq} was answered, and a read after that showed ${lease?.seq}`;
      held = next;
    }
    return undefined;
  },
  'a history of concurrent reads and writes is linearizable': async (register) => {
    const start = await register.claim();
    const operations: Operation[] = [];
    await Promise.all([0, 1, 2, 3].map((i) => wander(register, i, start, operations)));
    return historyProblem(start, operations);
  },
  'a lease keeps its content': async (register) => {
    const first = await register.claim();
    const payload = {
      positions: { postgres: '0/3000148', text: 'ünï "quoted" \\ line\nend' },
      list: [1, 2.5, null, true],
    };
    const next: Lease = { ...register.renewed(first), payload };
    await register.write(register.clients[0], first, next);
    const { lease } = await register.read(register.clients[1]);
    return JSON.stringify(lease?.payload) === JSON.stringify(payload) && lease?.acquiredBy.reason !== undefined
      ? undefined
      : 'what was read is not what was written';
  },
  'a lease expires by the clock of the witness': async (register) => {
    const short = await register.claim(1);
    const [here, there] = register.clients;
    if ((await register.read(here)).expired === undefined) return cannotTell;
    // A store that dates to the second may take two to notice; ten are no store's excuse.
    for (let i = 0; (await register.read(there)).expired !== true; i++) {
      if (i === 100) return 'a lease of one millisecond had not expired after ten seconds';
      await register.sleep(100);
    }
    await register.write(here, short, register.renewed(short, 60_000));
    return (await register.read(there)).expired === false ? undefined : 'a lease of one minute was expired at once';
  },
};

function refusedWith(answer: CasAnswer, held: Lease): string | undefined {
  if (answer.result === 'applied') return 'it was applied';
  return answer.current?.nonce === held.nonce ? undefined : 'the refusal does not show what the register holds';
}

/** One client that reads and writes by what it last saw, and notes what it was told. */
async function wander(register: Register, i: number, start: Lease, operations: Operation[]): Promise<void> {
  const client = register.clients[i % 2 === 0 ? 0 : 1];
  const name = `client ${i}`;
  let known: LeaseVersion | undefined = start;
  // Twelve rounds by four clients: about forty writes that get in each other's way.
  for (let round = 0; round < 12; round++) {
    const calledAt = register.clock.monotonic();
    const note = (did: Operation['did']) =>
      operations.push({ client: name, calledAt, answeredAt: register.clock.monotonic(), did });
    if ((round + i) % 3 === 0) {
      const { lease } = await register.read(client);
      note({ kind: 'read', saw: lease });
      known = lease;
      continue;
    }
    const expect = known;
    const next = register.taken(expect);
    const answer: CasAnswer = await register.write(client, expect, next);
    if (answer.result === 'applied') note({ kind: 'applied', expect, next });
    else note({ kind: 'conflict', expect, saw: answer.current });
    known = answer.result === 'applied' ? next : answer.current;
  }
}

/** Runs every check. Does not reject: a store that cannot be reached fails them, and the sentence says why. */
export async function checkConformance(options: ConformanceOptions): Promise<ConformanceReport> {
  const register = new Register(options);
  const results: CheckResult[] = [];
  try {
    for (const [name, check] of Object.entries(checks)) {
      let brokeOff = false;
      const seen = await check(register).catch((error: unknown) => {
        brokeOff = true;
        return `it could not be checked: ${messageOf(error)}`;
      });
      register.measuring = false;
      const outcome = seen === undefined ? 'passed' : seen === cannotTell ? 'cannot-tell' : 'failed';
      const result: CheckResult = { name, outcome, sentence: outcome === 'failed' ? (seen ?? '') : '', brokeOff };
      results.push(result);
      options.onResult?.(result);
      if (options.signal.aborted) break;
    }
  } finally {
    await register.close();
  }
  const passed = results.length === Object.keys(checks).length && results.every(({ outcome }) => outcome !== 'failed');
  return { passed, results, latencies: register.latencies.sort((a, b) => a - b) };
}
