import type { TargetObservation } from '../integrations/contract.ts';

/** What became of a target since a run last touched it. */
export type TargetVerdict =
  | { verdict: 'Same' }
  /** A controller of the cluster changed it, as its autoscaler does: the new generation is the one to expect. */
  | { verdict: 'ChangedByController'; by: string }
  | { verdict: 'Gone' }
  | { verdict: 'Replaced' }
  | { verdict: 'ChangedByOthers'; by: string };

/** Field managers that are part of the cluster, not a person or a deployment tool: the horizontal autoscaler writes as the first. */
const clusterControllers = new Set(['kube-controller-manager', 'vpa-updater', 'kube-scheduler', 'kubelet']);

/** Compares what is expected with what is there. Pure. */
export function classifyTarget(expected: TargetObservation, observed: TargetObservation): TargetVerdict {
  // We deleted it ourselves: what stands there now is its replacement.
  if (expected.state === 'Gone') return { verdict: 'Same' };
  if (observed.state === 'Gone') return { verdict: 'Gone' };
  if (observed.uid !== expected.uid) return { verdict: 'Replaced' };
  if (observed.generation === expected.generation) return { verdict: 'Same' };
  const by = observed.changedBy;
  if (by !== undefined && clusterControllers.has(by)) return { verdict: 'ChangedByController', by };
  return { verdict: 'ChangedByOthers', by: by ?? 'someone' };
}
