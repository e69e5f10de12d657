import type { CompiledRunbook } from '../catalog/compiled-runbook.ts';
import type { Mode } from '../catalog/kinds/runbook.ts';
import type { Scope } from '../check/check.ts';
import type { Severity } from '../incident/incident.ts';
import type { AlertQuestion, BoundTarget, Json } from '../integrations/contract.ts';
import type { RunState } from './journal.ts';

/** A run while someone works on it: what it is of, and what its journal says. */
export interface RunInHand {
  id: string;
  runbook: CompiledRunbook;
  organization: string | undefined;
  mode: Mode;
  alert: (AlertQuestion & { id: string; name: string; annotations: Record<string, string> }) | undefined;
  incident: { id: string; type: string; severity: Severity } | undefined;
  inputs: Record<string, Json>;
  createdAt: number;
  /** A person asked to cancel. */
  cancelRequestedBy: string | undefined;
  /** Trace context of what started it. */
  traceparent?: string | undefined;
  state: RunState;
}

/** What expressions of this run may name. */
export function scopeOf(run: RunInHand, target: BoundTarget | undefined): Scope {
  const scope: Scope = {
    inputs: run.inputs,
    run: { id: run.id, startedAt: run.createdAt },
    steps: resultsOf(run),
  };
  if (run.alert) {
    const { name, annotations, fingerprint, startsAt } = run.alert;
    scope.alert = { name, labels: { ...run.alert.labels }, annotations, fingerprint, startsAt };
  }
  if (run.incident) scope.incident = run.incident;
  if (target) {
    const { apiVersion, kind, namespace = '', name, uid } = target;
    scope.target = { apiVersion, kind, namespace, name, uid };
  }
  return scope;
}

function resultsOf(run: RunInHand): Record<string, { result: Json }> {
  const results: Record<string, { result: Json }> = {};
  for (const [index, step] of run.runbook.steps.entries()) {
    const state = run.state.steps.steps[index];
    if (state?.status === 'Succeeded') results[step.name] = { result: state.result ?? null };
  }
  return results;
}

/** What cooldowns and limits are counted by: the target, or the runbook where it has none. */
export function targetKey(run: RunInHand, target: BoundTarget | undefined): string {
  if (!target) return `runbook/${run.runbook.resource.metadata.name}`;
  return `${target.kind}/${target.namespace ?? ''}/${target.name}`;
}
