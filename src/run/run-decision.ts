/**
 * What a run does next. Pure: from the runbook, what the journal says and the time, one move. The same code decides in
 * production, after a crash, and in `runbook test`.
 */
import type { CompiledRunbook, CompiledRunStep, CompiledStep } from '../catalog/compiled-runbook.ts';
import { type OutcomeName, type Phase, type RunState, type StepState, wholePlan } from './journal.ts';
import type { Reason } from './reasons.ts';

/** Who must be told when a run ends, and how loudly. */
export type PageLevel = 'none' | 'page';

export type Move =
  /** Look at everything and make the plan; nothing is touched. */
  | { do: 'prepare' }
  | { do: 'requestApproval'; step: number; role: string; within: number; why: string }
  | { do: 'expireApproval'; step: number }
  /** Carry out one action: intent first. */
  | { do: 'act'; phase: Phase; index: number; attempt: number }
  /** Ask the world whether an intended effect took place. */
  | { do: 'ask'; phase: Phase; index: number }
  | { do: 'startVerify'; index: number }
  | { do: 'observe'; index: number }
  | { do: 'startWait'; index: number }
  | { do: 'finishWait'; index: number }
  | { do: 'startRollback'; reason: Reason; sentence: string }
  | { do: 'sleep'; until: number }
  | { do: 'end'; outcome: OutcomeName; reason: Reason; sentence: string; page: PageLevel };

export interface Wish {
  /** A person asked to cancel. */
  cancelRequestedBy?: string;
}

export function nextMove(runbook: CompiledRunbook, state: RunState, now: number, wish: Wish = {}): Move {
  if (state.ended) return { do: 'sleep', until: Number.POSITIVE_INFINITY };
  const uncertain = findUncertain(state);
  if (uncertain) return uncertain;
  if (wish.cancelRequestedBy !== undefined && !state.rollback) return cancelled(state, wish.cancelRequestedBy);
  if (!state.prepared) return { do: 'prepare' };
  if (state.rollback) return nextInRollback(runbook, state, now);
  if (state.prepared.mode === 'Suggest') {
    const sentence = `It would do ${count(state.prepared.plan.filter((step) => !step.skipped).length, 'step')}; the mode is Suggest.`;
    return { do: 'end', outcome: 'Suggested', reason: 'Suggested', sentence, page: 'none' };
  }
  if (state.prepared.mode === 'Approval') {
    const move = approvalMove(state, wholePlan, now, {
      role: 'sovereign-admin',
      within: defaultApprovalWithin,
      reason: 'The mode is Approval.',
    });
    if (move) return move;
  }
  return nextStep(runbook, state, now);
}

/** An approval of the whole plan waits an hour: the default of `approve.within` (see the Runbook kind). */
const defaultApprovalWithin = 3_600_000;

/** An effect that was intended and whose outcome is not in the journal: nothing else happens before it is known. */
function findUncertain(state: RunState): Move | undefined {
  for (const phase of ['steps', 'undo', 'rollback'] as const) {
    const index = state.steps[phase].findIndex(
      (step) => step?.intent !== undefined && (step.status === 'Started' || step.status === 'Uncertain'),
    );
    if (index >= 0) return { do: 'ask', phase, index };
  }
  return undefined;
}

function cancelled(state: RunState, by: string): Move {
  const done = state.steps.steps.filter((step) => step?.status === 'Succeeded' && step.intent).length;
  const sentence =
    done === 0
      ? `${by} cancelled it before it did anything.`
      : `${by} cancelled it after ${count(done, 'action')}; what was done stays done.`;
  return { do: 'end', outcome: 'Cancelled', reason: 'CancelledByPerson', sentence, page: 'none' };
}

function approvalMove(
  state: RunState,
  step: number,
  now: number,
  ask: { role: string; within: number; reason: string },
): Move | undefined {
  const approval = state.approvals.get(step);
  if (!approval) return { do: 'requestApproval', step, role: ask.role, within: ask.within, why: ask.reason };
  if (approval.decision === 'Approved') return undefined;
  if (approval.decision === undefined)
    return now < approval.expiresAt ? { do: 'sleep', until: approval.expiresAt } : { do: 'expireApproval', step };
  const reason = approval.decision === 'Rejected' ? 'ApprovalRejected' : 'ApprovalExpired';
  const sentence =
    approval.decision === 'Rejected'
      ? `${approval.by ?? 'A person'} rejected the plan.`
      : 'Nobody approved the plan in time.';
  if (state.actedAt !== undefined) return { do: 'startRollback', reason, sentence };
  // Nobody decided: the on-call person should know that the alert is still unattended.
  return { do: 'end', outcome: 'Refused', reason, sentence, page: reason === 'ApprovalExpired' ? 'page' : 'none' };
}

function nextStep(runbook: CompiledRunbook, state: RunState, now: number): Move {
  for (const [index, step] of runbook.steps.entries()) {
    const at = state.steps.steps[index];
    if (at?.status === 'Succeeded' || at?.status === 'Skipped') continue;
    if (at?.status === 'Failed') {
      return {
        do: 'startRollback',
        reason: at.reason ?? 'ActionFailed',
        sentence: `Step ${index + 1} "${step.name}" failed: ${at.sentence}`,
      };
    }
    return moveInStep(step, index, at, state, now);
  }
  const verified = runbook.steps.some(
    (step, index) => step.kind === 'verify' && state.steps.steps[index]?.status === 'Succeeded',
  );
  return verified
    ? {
        do: 'end',
        outcome: 'Succeeded',
        reason: 'Verified',
        sentence: 'Every step was done and the fix is verified.',
        page: 'none',
      }
    : {
        do: 'end',
        outcome: 'Succeeded',
        reason: 'Completed',
        sentence: 'Every step was done; nothing was verified.',
        page: 'none',
      };
}

function moveInStep(step: CompiledStep, index: number, at: StepState | undefined, state: RunState, now: number): Move {
  switch (step.kind) {
    case 'run':
      return moveInAction('steps', index, at, now);
    case 'verify':
      return at?.status === 'Started' ? { do: 'observe', index } : { do: 'startVerify', index };
    case 'wait':
      if (at?.until === undefined) return { do: 'startWait', index };
      return now >= at.until ? { do: 'finishWait', index } : { do: 'sleep', until: at.until };
    case 'approve':
      // An approved step counts as succeeded, so that coming here means it was not approved yet.
      return approvalMove(state, index, now, step) ?? { do: 'sleep', until: now };
  }
}

function moveInAction(phase: Phase, index: number, at: StepState | undefined, now: number): Move {
  if (at?.status === 'Retrying' && at.retryAt !== undefined) {
    return now >= at.retryAt
      ? { do: 'act', phase, index, attempt: at.attempt + 1 }
      : { do: 'sleep', until: at.retryAt };
  }
  // After "it did not happen" the same attempt is made again.
  return { do: 'act', phase, index, attempt: Math.max(1, at?.attempt ?? 1) };
}

/** Steps of the runbook that were done and can be taken back, newest first. */
export function undoable(runbook: CompiledRunbook, state: RunState): { index: number; step: CompiledRunStep }[] {
  const done: { index: number; step: CompiledRunStep }[] = [];
  for (const [index, step] of runbook.steps.entries()) {
    if (step.kind !== 'run' || state.steps.steps[index]?.status !== 'Succeeded') continue;
    if (step.undo || step.call.action.undo) done.unshift({ index, step });
  }
  return done;
}

function nextInRollback(runbook: CompiledRunbook, state: RunState, now: number): Move {
  let undone = 0;
  for (const { index, step } of undoable(runbook, state)) {
    const at = state.steps.undo[index];
    if (at?.status === 'Failed')
      return failedFor(state, 'UndoFailed', ` Undoing step ${index + 1} "${step.name}" failed: ${at.sentence}`);
    if (at?.status === 'Skipped') continue;
    if (at?.status !== 'Succeeded') return moveInAction('undo', index, at, now);
    undone += 1;
  }
  if (runbook.rollback.kind === 'steps') {
    for (const [index, step] of runbook.rollback.steps.entries()) {
      const at = state.steps.rollback[index];
      if (at?.status === 'Failed')
        return failedFor(state, 'UndoFailed', ` Rollback step "${step.name}" failed: ${at.sentence}`);
      if (at?.status === 'Skipped') continue;
      if (at?.status !== 'Succeeded') return moveInAction('rollback', index, at, now);
      undone += 1;
    }
  }
  if (undone === 0)
    return failedFor(
      state,
      undefined,
      state.actedAt === undefined ? ' Nothing had been done.' : ' Nothing of it can be undone.',
    );
  const { reason, sentence } = state.rollback ?? { reason: 'ActionFailed', sentence: '' };
  return {
    do: 'end',
    outcome: 'RolledBack',
    reason,
    sentence: `${sentence} ${count(undone, 'rollback step')} done.`,
    page: 'page',
  };
}

function failedFor(state: RunState, reason: Reason | undefined, addition: string): Move {
  const cause = state.rollback ?? { reason: 'ActionFailed' as const, sentence: 'A step failed.' };
  return {
    do: 'end',
    outcome: 'Failed',
    reason: reason ?? cause.reason,
    sentence: cause.sentence + addition,
    page: 'page',
  };
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}
