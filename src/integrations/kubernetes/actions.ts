/** All actions on a cluster. */
import type { ActionDefinition } from '../contract.ts';
import { deletePodAction, evictPodAction } from './actions/delete-pod.ts';
import { patchAction } from './actions/patch.ts';
import { restartAction } from './actions/restart.ts';
import { rollbackAction } from './actions/rollback.ts';
import { runJobAction } from './actions/run-job.ts';
import { scaleAction } from './actions/scale.ts';
import type { KubernetesApi } from './client.ts';
import type { Ruled } from './rbac.ts';

export function kubernetesActions(api: () => KubernetesApi): readonly Ruled<ActionDefinition>[] {
  return [
    scaleAction(api),
    restartAction(api),
    deletePodAction(api),
    evictPodAction(api),
    rollbackAction(api),
    patchAction(api),
    runJobAction(api),
  ];
}
