/**
 * Why something was done or not done: one closed list, the same in the log, the metric label, the API and the console.
 * A reason is never renamed and never used again for something else.
 */
export const reasons = {
  // Decisions about a delivered alert.
  RunStarted: 'A runbook matched and a run was started.',
  Repeat: 'The same firing was delivered before; it never runs a runbook twice.',
  Reopened: 'The alert was reported resolved and fires again with the same start: the same firing.',
  ResolvedReported: 'Alertmanager reports the alert resolved; facts decide whether the incident is.',
  ResolvedUnknown: 'The alert is over; that it fired was never delivered.',
  Stale: 'A late copy about a firing that is over.',
  Superseded: 'A newer firing of the same alert replaced this one.',
  NoRunbook: 'No runbook is triggered by this alert.',
  OtherRunbookChosen: 'Another runbook matches more closely.',
  AlreadyRan: 'This runbook has already run for this firing.',
  // Refusals before anything was done.
  NotFiring: 'The alert does not fire any more.',
  FiringUnconfirmed: 'Nothing could confirm that the alert still fires.',
  Silenced: 'The alert is silenced.',
  PreconditionFalse: 'A precondition does not hold.',
  FactUnavailable: 'A fact that had to be known could not be read.',
  TargetNotFound: 'The target does not exist.',
  TargetReplaced: 'Another object has taken the place of the target.',
  Cooldown: 'The runbook acted on this target a short while ago.',
  TooManyRuns: 'The runbook acted on this target too often in its window.',
  Busy: 'Another run held the concurrency key for too long.',
  BudgetExhausted: 'The budget is spent: nothing may scale up (handbook §4.3).',
  BudgetUnknown: 'A budget is set, but what has been spent could not be read.',
  RunbookInvalid: 'The runbook does not compile with this version.',
  InputInvalid: 'An action would get input it does not take.',
  // Ways a run goes.
  Suggested: 'The mode is Suggest: it says what it would do.',
  AwaitingApproval: 'A person has to approve the plan.',
  ApprovalRejected: 'A person rejected the plan.',
  ApprovalExpired: 'Nobody approved the plan in time.',
  Verified: 'Every step was done and every verification held.',
  Completed: 'Every step was done; the runbook verifies nothing.',
  ActionFailed: 'An action failed.',
  VerificationFailed: 'A verification did not hold in time.',
  StepTimedOut: 'A step ran out of its limit of time.',
  EffectUnknown: 'Whether an effect took place cannot be known.',
  ChangedByOthers: 'Someone else changed the target while the run acted.',
  CancelledByPerson: 'A person cancelled the run.',
  UndoFailed: 'A step could not be undone.',
} as const;

export type Reason = keyof typeof reasons;
