/**
 * The journal of a run: what was decided, intended and done, one entry after the other. It is written before each
 * effect and is all that is needed to go on after a crash. `fold` reads it back into the state the decisions work on.
 */
import { createHash } from 'node:crypto';
import type { Mode } from '../catalog/kinds/runbook.ts';
import type { FactReading } from '../check/check.ts';
import type { GuardVerdict } from '../guard/guard.ts';
import type { ActionInput, BoundTarget, Effect, Json, TargetObservation } from '../integrations/contract.ts';
import type { Reason } from './reasons.ts';

/** The runbook's own steps; the undoing of those that were done, newest first; the steps of `rollback`. */
export type Phase = 'steps' | 'undo' | 'rollback';

/** One step as it was planned: for a `run` step whose input was known, exactly what will be carried out. */
export interface PlannedStep {
  index: number;
  name: string;
  kind: 'run' | 'verify' | 'wait' | 'approve';
  /** What it would do, or what it asks, in one sentence. */
  sentence: string;
  /** For `run` steps. */
  action?: string;
  effect?: Effect;
  /** Fixed when the plan was made: the plan that was shown is the plan that is run. Absent when it depends on earlier steps. */
  input?: ActionInput;
  /** Why the input is not known yet. */
  later?: string;
  /** The step is skipped: its `when` is false now. */
  skipped?: boolean;
}

export interface Evidence {
  source: string;
  value?: Json;
  error?: string;
  readings: FactReading[];
}

export type OutcomeName = 'Succeeded' | 'Suggested' | 'Refused' | 'Failed' | 'RolledBack' | 'Unknown' | 'Cancelled';

interface EntryShapes {
  /** Everything that was looked at before acting, and what will be done. Nothing has been touched yet. */
  Prepared: {
    mode: Mode;
    confirmation: string;
    target: BoundTarget | null;
    guards: GuardVerdict[];
    preconditions: Evidence[];
    plan: PlannedStep[];
  };
  /** The run waits for something outside itself: its concurrency key, a confirmation. */
  Held: { reason: Reason };
  ApprovalRequested: { step: number; approvalId: string; role: string; expiresAt: number; planDigest: string };
  ApprovalDecided: { step: number; decision: 'Approved' | 'Rejected' | 'Expired'; by: string; comment: string };
  /** The intent: committed before the effect. */
  StepStarted: {
    phase: Phase;
    index: number;
    attempt: number;
    key: string;
    action: string;
    effect: Effect;
    input: ActionInput;
    before: Json;
    readings: FactReading[];
  };
  StepSucceeded: {
    phase: Phase;
    index: number;
    result: Json;
    target: TargetObservation | null;
    readings: FactReading[];
  };
  StepFailed: {
    phase: Phase;
    index: number;
    /** Which try failed; absent where the step failed as a whole, without trying. A try can fail before its intent. */
    attempt?: number;
    reason: Reason;
    /** True when it certainly had no effect. */
    certain: boolean;
    /** When it may be tried again, if it may. */
    retryAt: number | null;
    readings: FactReading[];
  };
  /** The world was asked whether an intended effect took place. */
  StepAsked: { phase: Phase; index: number; answer: 'yes' | 'no' | 'unknown'; repeat: boolean };
  StepSkipped: { phase: Phase; index: number; readings: FactReading[] };
  VerifyStarted: { index: number; deadline: number };
  VerifyHolds: { index: number; readings: FactReading[] };
  VerifyBroke: { index: number; readings: FactReading[] };
  WaitStarted: { index: number; until: number };
  RollbackStarted: { reason: Reason };
  Ended: { outcome: OutcomeName; reason: Reason; evidence: Evidence[] };
}

export type EntryKind = keyof EntryShapes;
/** An entry: when, what, in one sentence, and the details of its kind. */
export type Entry = { [K in EntryKind]: { at: number; kind: K; sentence: string; data: EntryShapes[K] } }[EntryKind];
export type EntryOf<K extends EntryKind> = Extract<Entry, { kind: K }>;

export interface StepState {
  status: 'Todo' | 'Started' | 'Uncertain' | 'Retrying' | 'Succeeded' | 'Failed' | 'Skipped';
  attempt: number;
  /** How often the world was asked about it. */
  asked: number;
  sentence: string;
  intent?: EntryOf<'StepStarted'>['data'];
  /** When the newest attempt was intended. */
  intendedAt?: number;
  startedAt?: number;
  endedAt?: number;
  result?: Json;
  reason?: Reason;
  retryAt?: number;
  /** Verification: by when, and since when it has held. */
  deadline?: number;
  holdingSince?: number;
  /** Waiting: until when. */
  until?: number;
}

export interface ApprovalState {
  approvalId: string;
  role: string;
  expiresAt: number;
  decision?: 'Approved' | 'Rejected' | 'Expired';
  by?: string;
}

/** A run as its journal tells it. */
export interface RunState {
  prepared?: EntryOf<'Prepared'>['data'];
  /** When the plan was made. */
  preparedAt?: number;
  held?: { reason: Reason; since: number };
  /** By phase and step index. */
  steps: Record<Phase, StepState[]>;
  /** By step index; -1 is the approval of the whole plan. */
  approvals: Map<number, ApprovalState>;
  /** The target as the newest effect of ours left it. */
  expected?: TargetObservation;
  /** An effect of ours may have changed the target without our knowing: the next look says what to expect from then on. */
  expectAnew?: boolean;
  /** When the first effect was intended. */
  actedAt?: number;
  rollback?: { reason: Reason; sentence: string };
  ended?: { outcome: OutcomeName; reason: Reason; sentence: string; at: number };
  entries: number;
}

/** Step index of the approval of the whole plan. */
export const wholePlan = -1;

export function newState(): RunState {
  return { steps: { steps: [], undo: [], rollback: [] }, approvals: new Map(), entries: 0 };
}

/** The state after all entries. */
export function fold(entries: readonly Entry[]): RunState {
  const state = newState();
  for (const entry of entries) apply(state, entry);
  return state;
}

/** The step's state, made on first use. */
export function stepOf(state: RunState, phase: Phase, index: number): StepState {
  const known = state.steps[phase][index];
  if (known) return known;
  const fresh: StepState = { status: 'Todo', attempt: 0, asked: 0, sentence: '' };
  state.steps[phase][index] = fresh;
  return fresh;
}

/** Adds one entry to the state. */
export function apply(state: RunState, entry: Entry): void {
  state.entries += 1;
  switch (entry.kind) {
    case 'Prepared':
      state.prepared = entry.data;
      state.preparedAt = entry.at;
      delete state.held;
      if (entry.data.target) {
        const { uid, generation } = entry.data.target;
        state.expected = { state: 'Present', uid, generation };
      }
      return;
    case 'Held':
      state.held = { reason: entry.data.reason, since: entry.at };
      return;
    case 'ApprovalRequested': {
      const { step, approvalId, role, expiresAt } = entry.data;
      state.approvals.set(step, { approvalId, role, expiresAt });
      return;
    }
    case 'ApprovalDecided': {
      const approval = state.approvals.get(entry.data.step);
      if (approval) Object.assign(approval, { decision: entry.data.decision, by: entry.data.by });
      if (entry.data.step >= 0) {
        const status = entry.data.decision === 'Approved' ? 'Succeeded' : 'Failed';
        const step = stepOf(state, 'steps', entry.data.step);
        Object.assign(step, { status, endedAt: entry.at, sentence: entry.sentence });
        if (status === 'Failed')
          step.reason = entry.data.decision === 'Rejected' ? 'ApprovalRejected' : 'ApprovalExpired';
      }
      return;
    }
    case 'RollbackStarted':
      state.rollback = { reason: entry.data.reason, sentence: entry.sentence };
      return;
    case 'Ended':
      state.ended = { outcome: entry.data.outcome, reason: entry.data.reason, sentence: entry.sentence, at: entry.at };
      return;
    default:
      applyStep(state, entry);
  }
}

type StepEntry = Exclude<
  Entry,
  { kind: 'Prepared' | 'Held' | 'ApprovalRequested' | 'ApprovalDecided' | 'RollbackStarted' | 'Ended' }
>;

function applyStep(state: RunState, entry: StepEntry): void {
  const step = stepOf(state, 'phase' in entry.data ? entry.data.phase : 'steps', entry.data.index);
  step.sentence = entry.sentence;
  switch (entry.kind) {
    case 'StepStarted':
      step.status = 'Started';
      step.attempt = entry.data.attempt;
      step.intent = entry.data;
      step.intendedAt = entry.at;
      step.startedAt ??= entry.at;
      state.actedAt ??= entry.at;
      return;
    case 'StepSucceeded':
      step.status = 'Succeeded';
      step.endedAt = entry.at;
      step.result = entry.data.result;
      // A step may write another object than the run's target, e.g. delete one pod of its Deployment.
      if (entry.data.target && entry.data.target.uid === state.expected?.uid) {
        state.expected = entry.data.target;
        delete state.expectAnew;
      }
      return;
    case 'StepFailed':
      step.reason = entry.data.reason;
      step.attempt = entry.data.attempt ?? step.attempt;
      if (!entry.data.certain) step.status = 'Uncertain';
      else if (entry.data.retryAt !== null) {
        step.status = 'Retrying';
        step.retryAt = entry.data.retryAt;
      } else {
        step.status = 'Failed';
        step.endedAt = entry.at;
      }
      return;
    case 'StepAsked':
      step.asked += 1;
      step.status = entry.data.repeat ? 'Todo' : 'Uncertain';
      if (entry.data.answer === 'unknown') state.expectAnew = true;
      return;
    case 'StepSkipped':
      step.status = 'Skipped';
      step.endedAt = entry.at;
      return;
    case 'VerifyStarted':
      step.status = 'Started';
      step.startedAt = entry.at;
      step.deadline = entry.data.deadline;
      return;
    case 'VerifyHolds':
      step.holdingSince = entry.at;
      return;
    case 'VerifyBroke':
      delete step.holdingSince;
      return;
    case 'WaitStarted':
      step.status = 'Started';
      step.startedAt = entry.at;
      step.until = entry.data.until;
      return;
  }
}

/** SHA-256 (hex) of what a plan would do: what an approval approves. Sentences and readings do not count, actions and inputs do. */
export function planDigest(runbookDigest: string, target: BoundTarget | null, plan: readonly PlannedStep[]): string {
  const essence = plan.map(({ index, kind, action, input, later, skipped }) => ({
    index,
    kind,
    action,
    input,
    later,
    skipped,
  }));
  return createHash('sha256')
    .update(canonical({ runbookDigest, uid: target?.uid ?? null, plan: essence }))
    .digest('hex');
}

/** JSON with sorted keys and without undefined. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
