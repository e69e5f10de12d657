/** A run as its journal tells it, step by step: what the panel shows. Pure; the journal is in docs/remediation.md. */
import type { JournalEntry } from './server/api-types.ts';

export interface Reading {
  fact: string;
  value?: unknown;
  error?: string;
  /** Milliseconds since the epoch in the journal, RFC 3339 in an explanation. */
  at: number | string;
  /** ms. */
  took: number;
}
export interface Evidence {
  source: string;
  value?: unknown;
  error?: string;
  readings: Reading[];
}
export interface PlannedStep {
  index: number;
  name: string;
  kind: string;
  sentence: string;
  action?: string;
  effect?: string;
  input?: unknown;
  later?: string;
  skipped?: boolean;
}
export interface Guard {
  guard: string;
  verdict: 'Pass' | 'Warn' | 'Block';
  sentence: string;
}
export interface Prepared {
  mode: string;
  confirmation: string;
  target: { kind: string; namespace?: string; name: string; uid: string } | null;
  guards: Guard[];
  preconditions: Evidence[];
  plan: PlannedStep[];
}
export type StepStatus = 'Todo' | 'Started' | 'Uncertain' | 'Retrying' | 'Succeeded' | 'Failed' | 'Skipped';
export interface Step {
  key: string;
  phase: string;
  kind: string;
  status: StepStatus;
  sentence: string;
  planned?: PlannedStep;
  attempts: number;
  /** Milliseconds since the epoch. */
  startedAt?: number;
  endedAt?: number;
  deadline?: number;
  readings: Reading[];
  /** For a verification: from when on it held, or did not. */
  curve: { at: number; holds: boolean }[];
  /** For a verification: numbers its facts gave, by fact. */
  numbers: Record<string, { at: number; value: number }[]>;
  result?: unknown;
  reason?: string;
}
export interface RunSteps {
  prepared?: Prepared;
  steps: Step[];
  ended?: { outcome: string; reason: string; sentence: string; at: number; evidence: Evidence[] };
}

type Data = Record<string, unknown> & { sentence?: string };

export function stepsOf(journal: readonly JournalEntry[]): RunSteps {
  const run: RunSteps = { steps: [] };
  const byKey = new Map<string, Step>();
  const stepAt = (phase: string, index: number, kind: string): Step => {
    const key = `${phase}/${index}`;
    const known = byKey.get(key);
    if (known) return known;
    const planned = phase === 'steps' ? run.prepared?.plan.find((step) => step.index === index) : undefined;
    const step: Step = {
      key,
      phase,
      kind: planned?.kind ?? kind,
      status: 'Todo',
      sentence: planned?.sentence ?? '',
      attempts: 0,
      readings: [],
      curve: [],
      numbers: {},
      ...(planned ? { planned } : {}),
    };
    byKey.set(key, step);
    run.steps.push(step);
    return step;
  };
  for (const entry of journal) {
    const data = entry.data as Data;
    const at = Date.parse(entry.at);
    if (entry.kind === 'Prepared') {
      run.prepared = data as unknown as Prepared;
      for (const { index, kind, skipped } of run.prepared.plan) {
        const step = stepAt('steps', index, kind);
        if (skipped) step.status = 'Skipped';
      }
    } else if (entry.kind === 'Ended') {
      run.ended = {
        sentence: data.sentence ?? '',
        at,
        ...(data as unknown as { outcome: string; reason: string; evidence: Evidence[] }),
      };
    } else if (entry.kind === 'ApprovalRequested' || entry.kind === 'ApprovalDecided') {
      // -1 is the approval of the whole plan, which is not a step of it.
      const index = data.step as number;
      const step = stepAt(index < 0 ? 'approval' : 'steps', index, 'approve');
      approval(step, entry.kind, data, at);
    } else if (typeof data.index === 'number') {
      apply(stepAt((data.phase as string | undefined) ?? 'steps', data.index, 'run'), entry.kind, data, at);
    }
  }
  // The approval of the plan comes before its steps; what takes back and what follows a failure come after them.
  const order = ['approval', 'steps', 'undo', 'rollback'];
  run.steps.sort((a, b) => order.indexOf(a.phase) - order.indexOf(b.phase));
  return run;
}

function approval(step: Step, kind: string, data: Data, at: number): void {
  step.sentence = data.sentence ?? '';
  if (kind === 'ApprovalRequested') {
    step.status = 'Started';
    step.startedAt = at;
    step.deadline = data.expiresAt as number;
  } else {
    step.status = data.decision === 'Approved' ? 'Succeeded' : 'Failed';
    step.endedAt = at;
  }
}

function apply(step: Step, kind: string, data: Data, at: number): void {
  step.sentence = data.sentence ?? step.sentence;
  const readings = (data.readings ?? []) as Reading[];
  if (readings.length > 0) step.readings = readings;
  for (const { fact, value, at: readAt } of readings)
    if (typeof value === 'number') step.numbers[fact] = [...(step.numbers[fact] ?? []), { at: Number(readAt), value }];
  switch (kind) {
    case 'StepStarted':
      step.status = 'Started';
      step.attempts = data.attempt as number;
      step.startedAt ??= at;
      return;
    case 'StepSucceeded':
      step.status = 'Succeeded';
      step.endedAt = at;
      step.result = data.result;
      return;
    case 'StepFailed':
      step.reason = data.reason as string;
      step.status = data.certain === false ? 'Uncertain' : data.retryAt === null ? 'Failed' : 'Retrying';
      if (step.status === 'Failed') step.endedAt = at;
      return;
    case 'StepAsked':
      step.status = data.repeat ? 'Started' : 'Uncertain';
      return;
    case 'StepSkipped':
      step.status = 'Skipped';
      step.endedAt = at;
      return;
    case 'VerifyStarted':
    case 'WaitStarted':
      step.status = 'Started';
      step.startedAt = at;
      step.deadline = (data.deadline ?? data.until) as number;
      if (kind === 'VerifyStarted') step.curve.push({ at, holds: false });
      return;
    case 'VerifyHolds':
      step.curve.push({ at, holds: true });
      return;
    case 'VerifyBroke':
      step.curve.push({ at, holds: false });
      return;
  }
}
