/**
 * Spans of a run, from the entries of its journal: a step may outlive the process that began it, so that its span is told
 * when it is over. All are children of the delivery, schedule or request that started the run: one trace from webhook to
 * verification.
 */
import type { Entry } from '../run/journal.ts';
import type { RunInHand } from '../run/run-in-hand.ts';
import type { PastSpan, Tracing } from '../telemetry/trace.ts';

export function recordSpan(tracing: Pick<Tracing, 'record'>, run: RunInHand, entry: Entry, runbook: string): void {
  const attributes = { 'catalyst.run.id': run.id, 'catalyst.runbook.name': runbook, ...subjectOf(run) };
  const tell = (name: string, startedAt: number, more: Partial<PastSpan> = {}) =>
    tracing.record(name, {
      parent: run.traceparent,
      startedAt,
      endedAt: entry.at,
      ...more,
      attributes: { ...attributes, ...more.attributes },
    });
  switch (entry.kind) {
    case 'Prepared':
      tell('run.prepare', run.createdAt, { attributes: { 'catalyst.run.mode': entry.data.mode } });
      return;
    case 'StepSucceeded':
    case 'StepFailed': {
      const { phase, index } = entry.data;
      const step = run.state.steps[phase][index];
      if (step?.startedAt === undefined) return;
      const name = step.intent ? 'step.execute' : step.deadline === undefined ? 'step.wait' : 'step.verify';
      const failed = entry.kind === 'StepFailed' ? { error: entry.sentence } : {};
      const action = step.intent
        ? { 'catalyst.action': step.intent.action, 'catalyst.step.attempt': step.intent.attempt }
        : {};
      tell(name, step.startedAt, {
        ...failed,
        attributes: { 'catalyst.step.phase': phase, 'catalyst.step.index': index, ...action },
      });
      return;
    }
    case 'Ended': {
      const { outcome, reason } = entry.data;
      const error = outcome === 'Failed' || outcome === 'Unknown' ? { error: entry.sentence } : {};
      tell('run', run.createdAt, {
        ...error,
        attributes: { 'catalyst.run.outcome': outcome, 'catalyst.run.reason': reason },
      });
      return;
    }
    default:
  }
}

function subjectOf({ alert, incident }: RunInHand): Record<string, string> {
  return {
    ...(alert ? { 'catalyst.alert.id': alert.id } : {}),
    ...(incident ? { 'catalyst.incident.id': incident.id } : {}),
  };
}
