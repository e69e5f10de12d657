/** Tells each object in its status whether it was accepted. Writes only what differs, and gives up in the end. */
import type { Clock } from '../../clock.ts';
import { CatalystError } from '../../errors.ts';
import type { Json } from '../../integrations/contract.ts';
import type { Problem } from '../resource.ts';

/** A condition as Kubernetes has them. */
export interface Condition {
  type: string;
  status?: string;
  reason?: string;
  message?: string;
  lastTransitionTime?: string;
  observedGeneration?: number;
}

/** The object as it was seen last. */
export interface StatusTarget {
  namespace: string;
  name: string;
  uid: string;
  generation: number;
  conditions: readonly Condition[];
}

export interface StatusWriterOptions {
  objects: { patchStatus(namespace: string, name: string, status: Json, signal: AbortSignal): Promise<void> };
  clock: Clock;
  onError: (error: unknown) => void;
  /** Ends everything. */
  signal: AbortSignal;
}

const conditionType = 'Ready';
/** Limit of one write, ms. */
const writeLimitMs = 10_000;
/** Wait after a write that failed; doubled for each one after, ms. */
const firstBackoffMs = 1_000;
/**
 * Writes of one condition for one generation of an object, failed ones included. It ends, too, what two versions of the
 * product that disagree (during an upgrade) would otherwise write against each other for ever.
 */
const maxWrites = 5;
/** Kubernetes takes 32,768; people read less. */
const maxMessage = 1_024;

/** What the object's status should say. Pure. */
export function readyCondition(target: StatusTarget, problems: readonly Problem[], now: number): Required<Condition> {
  const errors = problems.filter(({ severity }) => severity === 'error');
  const status = errors.length === 0 ? 'True' : 'False';
  const before = target.conditions.find(({ type }) => type === conditionType);
  const unchanged = before?.status === status && before.lastTransitionTime;
  const said = (errors.length > 0 ? errors : problems).map(({ sentence }) => sentence).join(' ');
  return {
    type: conditionType,
    status,
    reason: errors.length === 0 ? 'Accepted' : 'Invalid',
    message: said === '' ? 'It is valid.' : shorten(said),
    // Kubernetes writes times without fractions of a second.
    lastTransitionTime: unchanged || new Date(now).toISOString().replace(/\.\d+Z$/, 'Z'),
    observedGeneration: target.generation,
  };
}

/** Whether the object's status says so already. Pure. */
export function saysAlready({ conditions }: StatusTarget, wanted: Condition): boolean {
  const before = conditions.find(({ type }) => type === wanted.type);
  return before !== undefined && meaning(before) === meaning(wanted);
}

function meaning({ status, reason, message, observedGeneration }: Condition): string {
  return JSON.stringify([status, reason, message, observedGeneration]);
}

function shorten(text: string): string {
  return text.length <= maxMessage ? text : `${text.slice(0, maxMessage - 1)}…`;
}

interface Wish {
  target: StatusTarget;
  problems: readonly Problem[];
}

/** Writes one after the other. */
export function createStatusWriter({ objects, clock, onError, signal }: StatusWriterOptions) {
  /** By uid: what is still to be written. */
  const wishes = new Map<string, Wish>();
  /** By uid: what was written last, and how often that was tried. */
  const history = new Map<string, { meaning: string; writes: number }>();
  let active = false;
  let working = Promise.resolve();

  async function work(): Promise<void> {
    let failures = 0;
    for (const [uid, wish] of oldestFirst(wishes)) {
      if (signal.aborted) break;
      const condition = readyCondition(wish.target, wish.problems, clock.now());
      if (saysAlready(wish.target, condition) || !mayWrite(uid, condition)) continue;
      try {
        await write(wish.target, condition);
        failures = 0;
      } catch (error) {
        if (signal.aborted) break;
        // Deleted in the meantime: there is nobody left to tell.
        if (error instanceof CatalystError && error.code === 'NotFound') continue;
        if ((history.get(uid)?.writes ?? 0) >= maxWrites) onError(error);
        // A newer wish goes before the one that failed.
        else if (!wishes.has(uid)) wishes.set(uid, wish);
        failures += 1;
        await clock.sleep(firstBackoffMs * 2 ** Math.min(failures - 1, 5), signal).catch(() => {});
      }
    }
    // In one turn with the last look at the wishes, so that a later one starts the work again.
    active = false;
  }

  function mayWrite(uid: string, condition: Condition): boolean {
    const said = meaning(condition);
    const before = history.get(uid);
    const writes = before?.meaning === said ? before.writes : 0;
    if (writes >= maxWrites) return false;
    history.set(uid, { meaning: said, writes: writes + 1 });
    return true;
  }

  async function write({ namespace, name }: StatusTarget, condition: Required<Condition>): Promise<void> {
    const over = new AbortController();
    const limit = new AbortController();
    clock.sleep(writeLimitMs, over.signal).then(
      () => limit.abort(new CatalystError('TimedOut', `The status of ${namespace}/${name} was not taken in time.`)),
      () => {},
    );
    try {
      await objects.patchStatus(
        namespace,
        name,
        { conditions: [{ ...condition }] },
        AbortSignal.any([signal, limit.signal]),
      );
    } finally {
      over.abort();
    }
  }

  return {
    /** The object's status should tell these problems, or that there are none. */
    want(target: StatusTarget, problems: readonly Problem[]): void {
      if (signal.aborted) return;
      wishes.set(target.uid, { target, problems });
      if (active) return;
      active = true;
      working = work();
    },
    /** Forgets objects that are gone. */
    keepOnly(uids: ReadonlySet<string>): void {
      for (const uid of history.keys()) if (!uids.has(uid)) history.delete(uid);
      for (const uid of wishes.keys()) if (!uids.has(uid)) wishes.delete(uid);
    },
    /** Resolves when nothing is being written. */
    settled: () => working,
  };
}

/** Takes one after the other out, those that were added in the meantime, too. */
function* oldestFirst<Key, Value>(map: Map<Key, Value>): Generator<[Key, Value]> {
  for (;;) {
    const { value: entry, done } = map.entries().next();
    if (done) return;
    map.delete(entry[0]);
    yield entry;
  }
}
