/**
 * Whether a history of concurrent operations on one register could have happened one after the other, each between its
 * call and its answer: linearizability (Herlihy and Wing 1990), decided by the search of Wing and Gong (1993) with the
 * states it has been in remembered (Lowe 2017). Clients that wait for their answers keep the search small.
 */
import { type LeaseVersion, sameVersion } from '../lease.ts';
import { versionText } from './lease-text.ts';

/** One operation, with the times of its call and its answer on one clock. */
export interface Operation {
  /** Who made it; for messages. */
  client: string;
  calledAt: number;
  answeredAt: number;
  did:
    | { kind: 'read'; saw: LeaseVersion | undefined }
    | { kind: 'applied'; expect: LeaseVersion | undefined; next: LeaseVersion }
    /** A refusal shows what the register held instead. */
    | { kind: 'conflict'; expect: LeaseVersion | undefined; saw: LeaseVersion | undefined }
    /** A write whose outcome is not known: it may have taken place at any later time, or never. */
    | { kind: 'unknown'; expect: LeaseVersion | undefined; next: LeaseVersion };
}

/**
 * Why no order explains the history, as a sentence; undefined when one does.
 *
 * @param start version of the register before the first operation
 */
export function historyProblem(start: LeaseVersion | undefined, operations: readonly Operation[]): string | undefined {
  const visited = new Set<string>();
  let furthest: { left: readonly number[]; held: LeaseVersion | undefined } = {
    left: [...operations.keys()],
    held: start,
  };
  const at = (index: number) => operations[index] as Operation;
  const search = (held: LeaseVersion | undefined, left: readonly number[]): boolean => {
    const certain = left.filter((index) => at(index).did.kind !== 'unknown');
    if (certain.length === 0) return true;
    const state = `${textOf(held)}|${left.join()}`;
    if (visited.has(state)) return false;
    visited.add(state);
    if (left.length < furthest.left.length) furthest = { left, held };
    // Nothing may come after an operation that was answered before it was called.
    const firstAnswer = Math.min(...certain.map((index) => at(index).answeredAt));
    return left.some((index) => {
      if (at(index).calledAt > firstAnswer || !fits(held, at(index))) return false;
      const { did } = at(index);
      return search(
        'next' in did ? did.next : held,
        left.filter((other) => other !== index),
      );
    });
  };
  if (search(start, [...operations.keys()])) return undefined;
  const stuck = furthest.left.map(at).sort((a, b) => a.answeredAt - b.answeredAt);
  // The first few are those that should have come next.
  const told = stuck.slice(0, 4).map(({ client, did }) => `${client} ${sentenceOf(did)}`);
  return `no order explains what was answered: with ${textOf(furthest.held)} in the register, ${told.join('; ')}`;
}

/** Whether the register can give this answer while it holds `held`. */
function fits(held: LeaseVersion | undefined, { did }: Operation): boolean {
  if (did.kind === 'read') return sameVersion(held, did.saw);
  if (did.kind === 'conflict') return sameVersion(held, did.saw) && !sameVersion(held, did.expect);
  return sameVersion(held, did.expect);
}

function sentenceOf(did: Operation['did']): string {
  if (did.kind === 'read') return `read ${textOf(did.saw)}`;
  if (did.kind === 'conflict') return `was refused over ${textOf(did.expect)} and shown ${textOf(did.saw)}`;
  return `${did.kind === 'applied' ? 'replaced' : 'tried to replace'} ${textOf(did.expect)} by ${textOf(did.next)}`;
}

function textOf(version: LeaseVersion | undefined): string {
  return version === undefined ? 'nothing' : `version ${versionText(version)}`;
}
