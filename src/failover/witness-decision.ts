/**
 * What the witnesses are known to hold. Answers may be late, doubled, out of order or lost; an answer only ever teaches
 * what it proves, and a write whose answer is lost stays "unknown" until the register itself shows what became of it.
 */
import { type Lease, type LeaseVersion, readPayload, sameVersion } from './lease.ts';
import type { EventOf, PendingWrite, WitnessView } from './protocol.ts';
import { freshId, never, type Turn } from './turn.ts';

/** Writes of unknown outcome kept per witness; a dropped one is of a version that a newer one names as well. */
const maxPendingWrites = 12;

export const unseen: WitnessView = {
  lease: undefined,
  seenAt: undefined,
  expired: undefined,
  answeredAt: never,
  reading: undefined,
  nextReadAt: never,
  writes: [],
};

/** What happened to a write of ours, told by an answer: it was applied. */
export type Applied = PendingWrite & { witness: string };

export function viewOf({ state }: Turn, witness: string): WitnessView {
  return state.witnesses[witness] ?? unseen;
}

function change(turn: Turn, witness: string, view: WitnessView): void {
  turn.state.witnesses = { ...turn.state.witnesses, [witness]: view };
}

/** Asks a witness for its register. */
export function askWitness(turn: Turn, witness: string): void {
  const { retryMs, pollMs, waitMs } = turn.state.settings.parameters;
  const view = viewOf(turn, witness);
  // Exactly when an observed lease has been still for long enough, too.
  const ripe = view.seenAt === undefined ? never : view.seenAt + waitMs;
  const nextReadAt = ripe > turn.at ? Math.min(ripe, turn.at + pollMs) : turn.at + pollMs;
  const request = freshId(turn);
  const reading = { request, sentAt: turn.at };
  change(turn, witness, { ...view, reading, nextReadAt });
  turn.effects.push({ type: 'read', witness, request, timeoutMs: retryMs });
}

/** Writes `next` over the version last seen, with a nonce of its own. */
export function writeLease(
  turn: Turn,
  witness: string,
  purpose: PendingWrite['purpose'],
  next: Omit<Lease, 'group' | 'seq' | 'nonce' | 'ttlMs'>,
): void {
  const { settings } = turn.state;
  const view = viewOf(turn, witness);
  const request = freshId(turn);
  const expect = view.lease && { epoch: view.lease.epoch, seq: view.lease.seq };
  const { ttlMs, retryMs } = settings.parameters;
  const lease = { ...next, group: settings.group, seq: (expect?.seq ?? 0) + 1, ttlMs, nonce: request };
  const write = { request, sentAt: turn.at, expect, next: lease, purpose };
  change(turn, witness, { ...view, writes: [...view.writes, write].slice(-maxPendingWrites) });
  turn.effects.push({ type: 'cas', witness, request, expect, next: lease, timeoutMs: retryMs });
}

/** Takes in an answer of a witness. Returns our own write when the answer proves that it was applied. */
export function absorbAnswer(
  turn: Turn,
  event: EventOf<'witness-read' | 'witness-conflict' | 'witness-applied' | 'witness-failed'>,
): Applied | undefined {
  const { witness } = event;
  const view = viewOf(turn, witness);
  if (!turn.state.settings.witnesses.includes(witness)) return undefined;
  const write = view.writes.find(({ request }) => request === event.request);
  const reading = view.reading?.request === event.request ? view.reading : undefined;
  if (reading) change(turn, witness, { ...view, reading: undefined });
  switch (event.type) {
    case 'witness-failed':
      return undefined;
    case 'witness-applied':
      if (!write) return undefined;
      see(turn, witness, write.next, false, write.sentAt);
      return { ...write, witness };
    case 'witness-read':
      return reading ? absorbLease(turn, witness, event.lease, event.expired, reading.sentAt) : undefined;
    case 'witness-conflict':
      return write && absorbConflict(turn, witness, event.current, write);
  }
}

/**
 * A compare-and-set that lost was refused for good, unless the network doubled it and `current` is its own first copy.
 */
function absorbConflict(turn: Turn, witness: string, current: Lease | undefined, write: PendingWrite) {
  const own = absorbLease(turn, witness, current, undefined, write.sentAt);
  const view = viewOf(turn, witness);
  change(turn, witness, { ...view, writes: view.writes.filter(({ request }) => request !== write.request) });
  return own;
}

function absorbLease(
  turn: Turn,
  witness: string,
  lease: Lease | undefined,
  expired: boolean | undefined,
  sentAt: number,
): Applied | undefined {
  const own = lease && viewOf(turn, witness).writes.find(({ request }) => request === lease.nonce);
  see(turn, witness, lease, expired, sentAt);
  return own && { ...own, witness };
}

/**
 * A newer version always counts. An older one (or none) only when it was asked for after the last answer came in: then
 * the register really went back, because the witness forgot; otherwise two answers merely overtook each other.
 */
function see(
  turn: Turn,
  witness: string,
  lease: Lease | undefined,
  expired: boolean | undefined,
  sentAt: number,
): void {
  const view = viewOf(turn, witness);
  const { at, state } = turn;
  if (lease) state.maxEpoch = Math.max(state.maxEpoch, lease.epoch);
  const same = view.seenAt !== undefined && sameVersion(view.lease, lease);
  if (same) {
    change(turn, witness, { ...view, expired: view.expired === true || expired, answeredAt: at });
    return;
  }
  if (!newer(lease, view.lease) && sentAt <= view.answeredAt) {
    change(turn, witness, { ...view, answeredAt: at });
    return;
  }
  const writes = view.writes.filter(({ expect }) => !lease || !newer(lease, expect));
  change(turn, witness, { ...view, lease, seenAt: at, expired, answeredAt: at, writes });
  if (lease) learnHistory(turn, lease);
}

function newer(a: LeaseVersion | undefined, b: LeaseVersion | undefined): boolean {
  if (!a || !b) return a !== undefined;
  return a.epoch > b.epoch || (a.epoch === b.epoch && a.seq > b.seq);
}

/** The group's history of changes, told by the holder as ages. */
function learnHistory({ at, state }: Turn, lease: Lease): void {
  if (lease.holder === state.settings.region || lease.epoch < state.maxEpoch) return;
  const { changedAgoMs, takeoversAgoMs } = readPayload(lease.payload);
  if (changedAgoMs !== null) state.changedAt = at - changedAgoMs;
  if (takeoversAgoMs.length > 0) state.takeovers = takeoversAgoMs.map((age) => at - age);
}

/** Reads every witness whose turn it is. */
export function poll(turn: Turn): void {
  const { at, state } = turn;
  const { retryMs } = state.settings.parameters;
  for (const witness of state.settings.witnesses) {
    const view = viewOf(turn, witness);
    if (view.reading && at - view.reading.sentAt < 2 * retryMs) continue;
    if (at >= view.nextReadAt) askWitness(turn, witness);
  }
}

/** Witnesses that answered within three times the poll interval. */
export function reachable({ at, state }: Turn): number {
  const { pollMs, renewMs, retryMs } = state.settings.parameters;
  const limit = Math.max(3 * pollMs, state.hold ? renewMs + retryMs : 0);
  let count = 0;
  for (const witness of state.settings.witnesses)
    if (at - (state.witnesses[witness]?.answeredAt ?? never) <= limit) count += 1;
  return count;
}
