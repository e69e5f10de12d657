/** Steps of a plan that a person does: what is waited for, and when it counts as done. Pure. */
import type { Json } from './lease.ts';
import type { RecordedFailoverEntry } from './record-file.ts';

/**
 * Whether the data of a component has been moved here by somebody's word since the group last came here. A region that
 * resumes has it already, unless it was never confirmed. Entries are of one group and this region, oldest first.
 */
export function doneByHand(entries: readonly RecordedFailoverEntry[], component: string): boolean {
  const moved = entries.findLast(({ kind, facts }) => kind === 'intent' && fact(facts, 'kind') !== 'resume');
  // Without it in memory nothing is known; and somebody who looks once more costs less than a database that was forgotten.
  if (!moved) return false;
  if (fact(moved.facts, 'kind') === 'genesis') return true;
  return entries.some(
    ({ kind, epoch, facts }) => kind === 'confirmed' && epoch >= moved.epoch && fact(facts, 'component') === component,
  );
}

function fact(facts: Json, name: string): unknown {
  return typeof facts === 'object' && facts !== null && !Array.isArray(facts)
    ? (facts as Record<string, Json>)[name]
    : undefined;
}

/** What a person reads while the plan waits. */
export function byHandSentence(group: string, component: string, what: string): string {
  return `${component} waits for a person: ${what}; then catalyst-sre failover confirm ${group} --component ${component} --reason TEXT.`;
}
