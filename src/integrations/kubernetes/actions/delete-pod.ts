/** `kubernetes delete pod` and `kubernetes evict pod`: one pod, known by its UID, so that its successor is never hit. */
import Type from 'typebox';
import { CatalystError } from '../../../errors.ts';
import type { ActionDefinition, ActionOutcome, CallContext, EffectContext, Happened } from '../../contract.ts';
import { defineAction } from '../../define.ts';
import { type KubernetesApi, label } from '../client.ts';
import { observation } from '../guarded-write.ts';
import type { Pod } from '../objects.ts';
import { type Ruled, rule } from '../rbac.ts';
import { Name, Namespace, Strict } from './inputs.ts';

const base = {
  namespace: Namespace,
  name: Name('pod', 'web-6d4cf56db6-x2x4q'),
  gracePeriodSeconds: Type.Optional(
    Type.Integer({
      description:
        'Time the pod gets to end. At least 1: 0 would break the promise that a StatefulSet never runs two of one pod.',
      minimum: 1,
      maximum: 3600,
    }),
  ),
};

const DeleteInput = Type.Object(
  {
    ...base,
    allowUnowned: Type.Optional(
      Type.Boolean({ description: 'Also deletes a pod that no controller will replace. Default false.' }),
    ),
  },
  { ...Strict, description: 'Which pod to delete.' },
);

const EvictInput = Type.Object(base, { ...Strict, description: 'Which pod to evict.' });

type Before = { uid: string; owner: string | null };
type PodInput = { namespace: string; name: string; gracePeriodSeconds?: number };

const podOf = (input: PodInput) => ({ kind: 'Pod', namespace: input.namespace, name: input.name });

export function deletePodAction(api: () => KubernetesApi): Ruled<ActionDefinition> {
  const definition = defineAction<typeof DeleteInput, Before>({
    name: 'kubernetes delete pod',
    description: 'Deletes one pod, so that its controller starts a new one.',
    input: DeleteInput,
    positional: ['namespace', 'name'],
    example: 'kubernetes delete pod ${{ target.namespace }} ${{ target.name }}',
    effects: ['Restart', 'Delete'],
    idempotent: true,
    // With a controller behind it the pod comes back; without one it is gone for good.
    effect: (_, before) => (before.owner === null ? 'Delete' : 'Restart'),
    describe: (input, before) =>
      `Delete ${label(podOf(input))}; ${before.owner === null ? 'nothing replaces it' : `${before.owner} replaces it`}`,
    async capture(context, input) {
      const before = await capturePod(context, api(), input);
      if (before.owner === null && input.allowUnowned !== true) {
        throw new CatalystError('InvalidState', `${label(podOf(input))} has no controller that would replace it`, {
          hint: 'Set allowUnowned where it shall be deleted all the same.',
        });
      }
      return before;
    },
    execute: (context, input, before) =>
      removePod(context, api(), input, before, 'Deleted', () =>
        api().delete(context, podOf(input), before.uid, input.gracePeriodSeconds),
      ),
    happened: (context, input, before) => podIsGone(context, api(), input, before),
  });
  return { definition, rules: [rule('', 'pods', 'get', 'delete')] };
}

export function evictPodAction(api: () => KubernetesApi): Ruled<ActionDefinition> {
  const definition = defineAction<typeof EvictInput, Before>({
    name: 'kubernetes evict pod',
    description: 'Evicts one pod, if its disruption budget allows.',
    input: EvictInput,
    positional: ['namespace', 'name'],
    example: 'kubernetes evict pod acme web-6d4cf56db6-x2x4q',
    effects: ['Restart', 'Delete'],
    idempotent: true,
    effect: (_, before) => (before.owner === null ? 'Delete' : 'Restart'),
    describe: (input) => `Evict ${label(podOf(input))}, if its disruption budget allows`,
    capture: (context, input) => capturePod(context, api(), input),
    execute: (context, input, before) =>
      removePod(context, api(), input, before, 'Evicted', () => evict(context, api(), input, before)),
    happened: (context, input, before) => podIsGone(context, api(), input, before),
  });
  return { definition, rules: [rule('', 'pods', 'get'), rule('', 'pods/eviction', 'create')] };
}

async function capturePod(context: CallContext, api: KubernetesApi, input: PodInput): Promise<Before> {
  const pod = await api.get<Pod>(context, podOf(input));
  const owner = pod.metadata.ownerReferences?.find((reference) => reference.controller === true);
  return { uid: pod.metadata.uid, owner: owner === undefined ? null : `${owner.kind} ${owner.name}` };
}

async function removePod(
  context: EffectContext,
  api: KubernetesApi,
  input: PodInput,
  before: Before,
  done: string,
  remove: () => Promise<unknown>,
): Promise<ActionOutcome> {
  const what = label(podOf(input));
  const target = { state: 'Gone', uid: before.uid, generation: 0 } as const;
  const gone = { sentence: `${what} was gone already`, result: { uid: before.uid }, target };
  const pod = await api.find<Pod>(context, podOf(input));
  if (pod === undefined || isGone(pod, before)) return gone;
  try {
    await remove();
  } catch (error) {
    // The UID did not match: the pod that was meant is gone, and the one with its name is not ours to delete.
    if (error instanceof CatalystError && (error.code === 'NotFound' || error.code === 'Conflict')) {
      const left = await api.find<Pod>(context, podOf(input));
      if (left === undefined || isGone(left, before)) return gone;
    }
    throw error;
  }
  return {
    sentence: `${done} ${what}`,
    result: { uid: before.uid },
    target: { ...target, generation: observation(pod).generation },
  };
}

/** Eviction lives in policy/v1 since Kubernetes 1.22 and in policy/v1beta1 before. */
async function evict(context: EffectContext, api: KubernetesApi, input: PodInput, before: Before): Promise<void> {
  const apiVersion = (await api.serves(context, 'policy/v1')) ? 'policy/v1' : 'policy/v1beta1';
  const { gracePeriodSeconds } = input;
  const deleteOptions = {
    preconditions: { uid: before.uid },
    ...(gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds }),
  };
  const metadata = { name: input.name, namespace: input.namespace };
  try {
    await api.createSubresource(context, podOf(input), 'eviction', {
      apiVersion,
      kind: 'Eviction',
      metadata,
      deleteOptions,
    });
  } catch (error) {
    if (!(error instanceof CatalystError) || error.details.status !== 429) throw error;
    throw new CatalystError(
      'UpstreamUnavailable',
      `the disruption budget of ${label(podOf(input))} does not allow an eviction now`,
      {
        cause: error,
        certain: true,
        hint: 'Wait until more of its pods are ready, or look at its PodDisruptionBudget.',
      },
    );
  }
}

async function podIsGone(
  context: EffectContext,
  api: KubernetesApi,
  input: PodInput,
  before: Before,
): Promise<Happened> {
  const pod = await api.find<Pod>(context, podOf(input));
  if (pod === undefined || isGone(pod, before)) {
    const target = { state: 'Gone', uid: before.uid, generation: 0 } as const;
    return {
      answer: 'yes',
      sentence: `the pod with UID ${before.uid} is gone or going`,
      target,
      result: { uid: before.uid },
    };
  }
  return { answer: 'no', sentence: `${label(podOf(input))} is still the same pod` };
}

const isGone = (pod: Pod, before: Before): boolean =>
  pod.metadata.uid !== before.uid || pod.metadata.deletionTimestamp !== undefined;
