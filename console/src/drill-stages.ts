/** How far a drill has come, told by what happened so far. Pure. */
import type { DrillRun } from './server/api-types.ts';

export interface DrillStage {
  name: string;
  /** What one waits for while it is the present one. */
  meaning: string;
  /** Missed: the drill ended before it. */
  state: 'Done' | 'Now' | 'ToCome' | 'Missed';
  /** When it was reached, ms since the start. */
  at?: number;
}

const stages = [
  { kind: 'fault', name: 'Broken', meaning: 'It is being broken.' },
  { kind: 'alert', name: 'Alert', meaning: 'It is broken. Prometheus sees it, and an alert will fire.' },
  { kind: 'incident', name: 'Incident', meaning: 'The alert has come in. An incident will be opened.' },
  {
    kind: 'action',
    name: 'Runbook acts',
    meaning: 'The runbook looks before it acts: every fact, guard and precondition.',
  },
  { kind: 'verification', name: 'Verifying', meaning: 'The runbook has acted. Facts will show whether it helped.' },
  { kind: 'passed', name: 'Proven', meaning: 'The fix has to hold without a break, and no alert may fire any more.' },
] as const;

export function drillStages({ events, result }: DrillRun): DrillStage[] {
  const reachedAt = (kind: string) =>
    kind === 'passed' ? (result?.passed ? result.took : undefined) : events.find((event) => event.kind === kind)?.at;
  let waits = result === undefined;
  return stages.map(({ kind, name, meaning }) => {
    const at = reachedAt(kind);
    if (at !== undefined) return { name, meaning, state: 'Done', at };
    const state = waits ? 'Now' : result ? 'Missed' : 'ToCome';
    waits = false;
    return { name, meaning, state };
  });
}
