/** How states look: a tone and a shape each, so that none is told by colour alone. */
import type { DrillRun, Incident, Run, Slo } from './server/api-types.ts';

export type Tone = 'bad' | 'warn' | 'good' | 'accent' | 'plain';
/** Shapes of `ui/Badge.svelte`. */
export type Shape = 'triangle' | 'diamond' | 'ring' | 'dot' | 'tick' | 'cross' | 'play' | 'hand' | 'eye';
export interface Look {
  tone: Tone;
  shape: Shape;
  word: string;
}

export const severityLooks: Record<Incident['severity'], Look> = {
  P1: { tone: 'bad', shape: 'triangle', word: 'P1' },
  P2: { tone: 'warn', shape: 'diamond', word: 'P2' },
  P3: { tone: 'plain', shape: 'dot', word: 'P3' },
  P4: { tone: 'plain', shape: 'ring', word: 'P4' },
};

/** Handbook §13.1. */
export const severityMeanings: Record<Incident['severity'], { definition: string; within: string }> = {
  P1: { definition: 'Catalyst control plane down (Sovereign-impacting)', within: '15 minutes' },
  P2: { definition: 'Major Application or feature broken', within: '1 hour' },
  P3: { definition: 'Minor issue', within: '4 hours' },
  P4: { definition: 'Low priority', within: 'next business day' },
};

export const incidentLooks: Record<Incident['state'], Look> = {
  Open: { tone: 'bad', shape: 'triangle', word: 'Open' },
  Acknowledged: { tone: 'accent', shape: 'hand', word: 'Acknowledged' },
  Mitigated: { tone: 'good', shape: 'eye', word: 'Mitigated' },
  Resolved: { tone: 'good', shape: 'tick', word: 'Resolved' },
};

export const sloLooks: Record<Slo['state'], Look> = {
  OK: { tone: 'good', shape: 'tick', word: 'OK' },
  Burning: { tone: 'warn', shape: 'triangle', word: 'Burning' },
  Exhausted: { tone: 'bad', shape: 'cross', word: 'Exhausted' },
  NoData: { tone: 'plain', shape: 'ring', word: 'No data' },
};

export const drillLooks: Record<DrillRun['state'], Look> = {
  Running: { tone: 'accent', shape: 'play', word: 'Running' },
  Passed: { tone: 'good', shape: 'tick', word: 'Passed' },
  Failed: { tone: 'bad', shape: 'cross', word: 'Failed' },
};

/** A share as people say it: `99.95 %`; no more digits than tell it from its neighbours. */
export const percent = (share: number, digits = 2) => `${Number((share * 100).toFixed(digits))} %`;

export function runLook(run: Pick<Run, 'state' | 'outcome'>): Look {
  switch (run.outcome ?? run.state) {
    case 'Succeeded':
      return { tone: 'good', shape: 'tick', word: 'Succeeded' };
    case 'Suggested':
      return { tone: 'plain', shape: 'eye', word: 'Suggested' };
    case 'Refused':
      return { tone: 'warn', shape: 'hand', word: 'Refused' };
    case 'RolledBack':
      return { tone: 'warn', shape: 'cross', word: 'Rolled back' };
    case 'Cancelled':
      return { tone: 'plain', shape: 'cross', word: 'Cancelled' };
    case 'Failed':
    case 'Unknown':
      return { tone: 'bad', shape: 'cross', word: run.outcome ?? 'Failed' };
    case 'AwaitingApproval':
      return { tone: 'warn', shape: 'hand', word: 'Waits for approval' };
    case 'RollingBack':
      return { tone: 'warn', shape: 'play', word: 'Rolling back' };
    case 'Running':
      return { tone: 'accent', shape: 'play', word: 'Running' };
    default:
      return { tone: 'plain', shape: 'ring', word: 'Pending' };
  }
}

/** A value of a fact as one line of text. */
export function valueText(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? 'nothing');
}
