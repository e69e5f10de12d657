/** `kubernetes run job`: a Job whose name follows from the step, so that it is created once however often it is tried. */
import { createHash } from 'node:crypto';
import Type from 'typebox';
import { CatalystError } from '../../../errors.ts';
import type { ActionDefinition, EffectContext, Json } from '../../contract.ts';
import { defineAction, isObject } from '../../define.ts';
import { fieldManager, type KubernetesApi, label } from '../client.ts';
import { markerAnnotation } from '../guarded-write.ts';
import type { Job } from '../objects.ts';
import { type Ruled, rule } from '../rbac.ts';
import { Name, Namespace, Strict } from './inputs.ts';

/** How often a running Job is looked at. */
const pollMs = 2_000;
/** A Job that says nothing itself is stopped after ten minutes. */
const defaultDeadlineSeconds = 600;
/** A finished Job is kept for a day, for whoever wants its logs. */
const defaultTtlSeconds = 86_400;

const Input = Type.Object(
  {
    namespace: Namespace,
    name: Name('Job, which a suffix is added to', 'rebuild-index'),
    job: Type.Record(Type.String(), Type.Unknown(), {
      description:
        'Spec of the Job (batch/v1). Without them: backoffLimit 0, activeDeadlineSeconds 600, ttlSecondsAfterFinished 86400, restartPolicy Never.',
      minProperties: 1,
    }),
  },
  { ...Strict, description: 'Which Job to run.' },
);

type Before = Record<string, never>;
type JobInput = { namespace: string; name: string; job: Record<string, unknown> };

export function runJobAction(api: () => KubernetesApi): Ruled<ActionDefinition> {
  const definition = defineAction<typeof Input, Before>({
    name: 'kubernetes run job',
    description: 'Runs a Job and waits until it has completed.',
    input: Input,
    positional: ['namespace', 'name'],
    example: 'kubernetes run job acme rebuild-index',
    effects: ['Change'],
    idempotent: true,
    effect: () => 'Change',
    describe: (input) => `Run the Job ${input.namespace}/${input.name} and wait for it`,
    capture: async () => ({}),
    async execute(context, input) {
      const job = await createOnce(context, api(), input);
      return finished(input, await waitForEnd(context, api(), input, job));
    },
    async happened(context, input) {
      const job = await api().find<Job>(context, jobOf(input, context.idempotencyKey));
      if (job === undefined) return { answer: 'no', sentence: 'there is no Job of this step' };
      const end = endOf(job);
      const what = `Job ${job.metadata.name}`;
      if (end === undefined) return { answer: 'unknown', sentence: `${what} has been started and is still running` };
      if (end.failed) return { answer: 'unknown', sentence: `${what} ran and failed: ${end.reason}` };
      return { answer: 'yes', sentence: `${what} has completed`, result: resultOf(job) };
    },
  });
  return { definition, rules: [rule('batch', 'jobs', 'create', 'get')] };
}

/** Name of the Job of a step: the same for each try. */
function jobName(name: string, key: string): string {
  // Ten hex digits of the key: 40 bits, enough for the Jobs of one namespace. A Job's name may have 63 characters.
  return `${name.slice(0, 52)}-${createHash('sha256').update(key).digest('hex').slice(0, 10)}`;
}

const jobOf = (input: JobInput, key: string) => ({
  kind: 'Job',
  namespace: input.namespace,
  name: jobName(input.name, key),
});

function manifestOf(input: JobInput, key: string): Json {
  const template = isObject(input.job.template) ? input.job.template : {};
  const podSpec = isObject(template.spec) ? template.spec : {};
  const spec = {
    backoffLimit: 0,
    activeDeadlineSeconds: defaultDeadlineSeconds,
    ttlSecondsAfterFinished: defaultTtlSeconds,
    ...input.job,
    template: { ...template, spec: { restartPolicy: 'Never', ...podSpec } },
  };
  const metadata = {
    name: jobName(input.name, key),
    namespace: input.namespace,
    labels: { 'app.kubernetes.io/managed-by': fieldManager },
    annotations: { [markerAnnotation]: key },
  };
  return { apiVersion: 'batch/v1', kind: 'Job', metadata, spec } as unknown as Json;
}

async function createOnce(context: EffectContext, api: KubernetesApi, input: JobInput): Promise<Job> {
  const reference = jobOf(input, context.idempotencyKey);
  try {
    return await api.create<Job>(context, reference, manifestOf(input, context.idempotencyKey));
  } catch (error) {
    if (!(error instanceof CatalystError) || error.code !== 'Conflict') throw error;
    const existing = await api.get<Job>(context, reference);
    if (existing.metadata.annotations?.[markerAnnotation] === context.idempotencyKey) return existing;
    throw new CatalystError('Conflict', `${label(reference)} exists and is not of this step`, {
      cause: error,
      certain: true,
    });
  }
}

async function waitForEnd(context: EffectContext, api: KubernetesApi, input: JobInput, created: Job): Promise<Job> {
  const reference = jobOf(input, context.idempotencyKey);
  let job = created;
  while (endOf(job) === undefined) {
    await context.clock.sleep(pollMs, context.signal).catch((cause: unknown) => {
      throw new CatalystError('TimedOut', `${label(reference)} was still running when the time was up`, {
        cause,
        certain: false,
      });
    });
    job = await afterStart(() => api.get<Job>(context, reference));
    if (job.metadata.uid !== created.metadata.uid) {
      throw new CatalystError('Conflict', `${label(reference)} was replaced while it ran`, { certain: false });
    }
  }
  return job;
}

/** The Job has started: whatever goes wrong from here on, it may have had its effect. */
async function afterStart<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof CatalystError)) throw error;
    const { code, message, details, hint } = error;
    throw new CatalystError(code, message, {
      cause: error,
      details,
      certain: false,
      ...(hint === undefined ? {} : { hint }),
    });
  }
}

/** How a Job ended; undefined while it runs. */
function endOf(job: Job): { failed: boolean; reason: string } | undefined {
  const ended = job.status?.conditions?.find(
    ({ type, status }) => status === 'True' && (type === 'Complete' || type === 'Failed'),
  );
  if (ended === undefined) return undefined;
  return {
    failed: ended.type === 'Failed',
    reason: [ended.reason, ended.message].filter(Boolean).join(': ') || ended.type,
  };
}

function finished(input: JobInput, job: Job) {
  const end = endOf(job);
  if (end?.failed) {
    throw new CatalystError('UpstreamRefused', `Job ${input.namespace}/${job.metadata.name} failed: ${end.reason}`, {
      certain: false,
      hint: `Read its logs: kubectl -n ${input.namespace} logs job/${job.metadata.name}`,
    });
  }
  return { sentence: `Ran the Job ${input.namespace}/${job.metadata.name} to its end`, result: resultOf(job) };
}

const resultOf = (job: Job): Json => ({
  job: job.metadata.name,
  uid: job.metadata.uid,
  completedAt: job.status?.completionTime ?? null,
});
