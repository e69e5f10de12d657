/** Job → Pods that run once; done when enough of them succeeded, failed when too many did not. */
import type { Condition, Job, Pod } from '../kubernetes/object.ts';
import { kubeTime, sameJson } from '../kubernetes/object.ts';
import { CONTROLLER_STATUS, type Context, createPod, ownedBy } from './context.ts';

export function reconcileJobs(context: Context): void {
  const { store } = context;
  for (const object of store.list(store.types.ofKind('batch/v1', 'Job'))) {
    if (object.metadata.deletionTimestamp === undefined) reconcile(context, object as Job);
  }
}

function reconcile(context: Context, job: Job): void {
  const { store, now } = context;
  const ended = job.status.conditions?.some((c) => c.status === 'True' && ['Complete', 'Failed'].includes(c.type));
  const time = kubeTime(now());
  if (ended) {
    const finishedAt = Date.parse(job.status.completionTime ?? job.status.conditions?.[0]?.lastTransitionTime ?? time);
    const ttl = job.spec.ttlSecondsAfterFinished;
    if (ttl !== undefined && now() - finishedAt >= ttl * 1000) {
      store.delete(store.types.ofKind('batch/v1', 'Job'), job.metadata.namespace, job.metadata.name);
    }
    return;
  }
  const pods = ownedBy<Pod>(store, store.types.ofKind('v1', 'Pod'), job);
  const succeeded = pods.filter((pod) => pod.status.phase === 'Succeeded').length;
  const failed = pods.filter((pod) => pod.status.phase === 'Failed').length;
  const active = pods.length - succeeded - failed;
  const { completions = 1, parallelism = 1, backoffLimit = 6 } = job.spec;
  const conditions: Condition[] = [];
  if (succeeded >= completions) {
    conditions.push({ type: 'Complete', status: 'True', lastTransitionTime: time });
  } else if (failed > backoffLimit) {
    const message = 'Job has reached the specified backoff limit';
    conditions.push({
      type: 'Failed',
      status: 'True',
      reason: 'BackoffLimitExceeded',
      message,
      lastTransitionTime: time,
    });
  } else {
    const missing = Math.min(parallelism, completions - succeeded) - active;
    const labels = { 'batch.kubernetes.io/job-name': job.metadata.name, 'job-name': job.metadata.name };
    for (let n = 0; n < missing; n++) createPod(context, job, job.spec.template, undefined, labels);
  }
  const status: Job['status'] = {
    startTime: job.status.startTime ?? time,
    ...(active > 0 ? { active } : {}),
    ...(succeeded > 0 ? { succeeded } : {}),
    ...(failed > 0 ? { failed } : {}),
    ...(conditions.length > 0 ? { conditions } : {}),
    ...(conditions[0]?.type === 'Complete' ? { completionTime: time } : {}),
  };
  if (sameJson(status, job.status)) return;
  store.edit<Job>(store.types.ofKind('batch/v1', 'Job'), job, CONTROLLER_STATUS, (draft) => {
    draft.status = status;
  });
}
