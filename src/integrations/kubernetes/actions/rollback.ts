/** `kubernetes rollback deployment`: back to the pod template of an earlier revision, as `kubectl rollout undo` does it. */
import Type from 'typebox';
import { CatalystError } from '../../../errors.ts';
import type { ActionDefinition, CallContext, Json } from '../../contract.ts';
import { defineAction } from '../../define.ts';
import { type KubernetesApi, label } from '../client.ts';
import {
  captureObject,
  guardedWrite,
  markedWrite,
  markerAnnotation,
  observation,
  type Seen,
  seen,
} from '../guarded-write.ts';
import type { KubernetesObject, Workload } from '../objects.ts';
import { type Ruled, rule, workloadWrites } from '../rbac.ts';
import { Name, Namespace, Strict } from './inputs.ts';

const revisionAnnotation = 'deployment.kubernetes.io/revision';

const Input = Type.Object(
  {
    namespace: Namespace,
    name: Name('Deployment', 'web'),
    revision: Type.Optional(
      Type.Integer({ description: 'Revision to go back to. Default: the one before the current one.', minimum: 1 }),
    ),
  },
  { ...Strict, description: 'Which Deployment to roll back, and to which revision.' },
);

type Before = Seen & {
  fromRevision: number;
  toRevision: number;
  replicaSet: { name: string; uid: string };
  fromImages: string[];
  toImages: string[];
};
type RollbackInput = { namespace: string; name: string; revision?: number };

const deploymentOf = (input: RollbackInput) => ({ kind: 'Deployment', namespace: input.namespace, name: input.name });

export function rollbackAction(api: () => KubernetesApi): Ruled<ActionDefinition> {
  const definition = defineAction<typeof Input, Before>({
    name: 'kubernetes rollback deployment',
    description: 'Puts a Deployment back to the pod template of an earlier revision.',
    input: Input,
    positional: ['namespace', 'name'],
    example: 'kubernetes rollback deployment ${{ target.namespace }} ${{ target.name }}',
    effects: ['Rollback'],
    idempotent: true,
    effect: () => 'Rollback',
    describe: (input, before) =>
      `Roll ${label(deploymentOf(input))} back from revision ${before.fromRevision} (${before.fromImages.join(', ')}) ` +
      `to revision ${before.toRevision} (${before.toImages.join(', ')})`,
    capture: (context, input) => capture(context, api(), input),
    async execute(context, input, before) {
      const reference = deploymentOf(input);
      const template = await templateOf(context, api(), input, before);
      const after = await guardedWrite<Workload>(context, {
        api: api(),
        reference,
        before,
        write: (object) =>
          api().jsonPatch(context, reference, replaceTemplate(object, template, context.idempotencyKey)),
      });
      const { fromRevision, toRevision } = before;
      return {
        sentence: `Rolled ${label(reference)} back from revision ${fromRevision} to ${toRevision}`,
        result: { fromRevision, toRevision },
        target: observation(after),
      };
    },
    async happened(context, input, before) {
      const { object: _, ...answer } = await markedWrite(context, api(), deploymentOf(input), before);
      if (answer.answer !== 'yes') return answer;
      return { ...answer, result: { fromRevision: before.fromRevision, toRevision: before.toRevision } };
    },
    // A template that is used again gets a new revision number, but the one it replaced keeps its own.
    undo: (input, before) => ({
      action: 'kubernetes rollback deployment',
      input: { namespace: input.namespace, name: input.name, revision: before.fromRevision },
    }),
  });
  return { definition, rules: [...workloadWrites('deployments'), rule('apps', 'replicasets', 'get', 'list')] };
}

async function capture(context: CallContext, api: KubernetesApi, input: RollbackInput): Promise<Before> {
  const reference = deploymentOf(input);
  const deployment = await captureObject<Workload>(context, api, reference);
  if (deployment.spec?.paused === true) {
    throw new CatalystError('InvalidState', `${label(reference)} is paused, so a rollback would not start`, {
      hint: 'Resume it with kubectl rollout resume, or ask whoever paused it.',
    });
  }
  const fromRevision = revisionOf(deployment);
  const history = await revisions(context, api, deployment);
  const current = history.find((set) => revisionOf(set) === fromRevision);
  if (current === undefined || deployment.status?.observedGeneration !== deployment.metadata.generation) {
    throw new CatalystError('Unavailable', `the deployment controller has not caught up with ${label(reference)} yet`, {
      certain: true,
      hint: 'Try again in a moment; if it stays so, look at kube-controller-manager.',
    });
  }
  const to = choose(history, fromRevision, input.revision, label(reference));
  return {
    ...seen(deployment),
    fromRevision,
    toRevision: revisionOf(to),
    replicaSet: { name: to.metadata.name, uid: to.metadata.uid },
    fromImages: imagesOf(current),
    toImages: imagesOf(to),
  };
}

/** The ReplicaSets of the Deployment, newest revision first. */
async function revisions(context: CallContext, api: KubernetesApi, deployment: Workload): Promise<Workload[]> {
  const labels = Object.entries(deployment.spec?.selector?.matchLabels ?? {});
  const place = await api.place(context, 'ReplicaSet', 'apps/v1');
  const options =
    labels.length === 0 ? {} : { labelSelector: labels.map(([name, value]) => `${name}=${value}`).join() };
  const { items } = await api.list<Workload>(context, place, deployment.metadata.namespace, options);
  const owned = (set: KubernetesObject) =>
    set.metadata.ownerReferences?.some(({ uid }) => uid === deployment.metadata.uid) === true;
  return items.filter((set) => owned(set) && revisionOf(set) > 0).sort((a, b) => revisionOf(b) - revisionOf(a));
}

/** The revision asked for, or the newest below the current one. Throws InvalidState where there is none. */
function choose(history: readonly Workload[], from: number, wanted: number | undefined, what: string): Workload {
  if (wanted === from) {
    throw new CatalystError('InvalidState', `${what} is at revision ${from} already`, {
      hint: 'Name an earlier revision.',
    });
  }
  const found =
    wanted === undefined
      ? history.find((set) => revisionOf(set) < from)
      : history.find((set) => revisionOf(set) === wanted);
  if (found !== undefined) return found;
  const known = history.map(revisionOf).join(', ');
  const sentence = wanted === undefined ? `${what} has no earlier revision` : `${what} has no revision ${wanted}`;
  throw new CatalystError('InvalidState', sentence, {
    hint: `Revisions still kept: ${known || 'none'}.`,
    details: { known },
  });
}

async function templateOf(
  context: CallContext,
  api: KubernetesApi,
  input: RollbackInput,
  before: Before,
): Promise<Json> {
  const { name, uid } = before.replicaSet;
  const set = await api.get<Workload>(context, { kind: 'ReplicaSet', namespace: input.namespace, name });
  if (set.metadata.uid !== uid) {
    throw new CatalystError('Conflict', `revision ${before.toRevision} was removed after it was looked at`, {
      certain: true,
    });
  }
  const template = structuredClone(set.spec?.template ?? {});
  // Added by the controller to each ReplicaSet's template; in the Deployment's it would never match again.
  if (template.metadata?.labels !== undefined) delete template.metadata.labels['pod-template-hash'];
  return template as unknown as Json;
}

/** A JSON patch, because a merge patch would keep what only the newer template has. */
function replaceTemplate(object: Workload, template: Json, key: string): Json {
  const annotation = `/metadata/annotations/${markerAnnotation.replaceAll('~', '~0').replaceAll('/', '~1')}`;
  const annotations: Json[] =
    object.metadata.annotations === undefined ? [{ op: 'add', path: '/metadata/annotations', value: {} }] : [];
  return [
    { op: 'replace', path: '/metadata/resourceVersion', value: object.metadata.resourceVersion },
    ...annotations,
    { op: 'add', path: annotation, value: key },
    { op: 'replace', path: '/spec/template', value: template },
  ];
}

function revisionOf(object: KubernetesObject): number {
  return Number(object.metadata.annotations?.[revisionAnnotation] ?? 0);
}

function imagesOf(set: Workload): string[] {
  return (set.spec?.template?.spec?.containers ?? []).map(({ image }) => image ?? '');
}
