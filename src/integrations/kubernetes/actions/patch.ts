/** `kubernetes patch`: a JSON merge patch of any object, with the former values kept for the way back. */
import Type from 'typebox';
import { CatalystError } from '../../../errors.ts';
import type { ActionDefinition, Effect, Json } from '../../contract.ts';
import { defineAction, isObject } from '../../define.ts';
import { type KubernetesApi, label } from '../client.ts';
import {
  captureObject,
  guardedWrite,
  marked,
  markedWrite,
  markerAnnotation,
  observation,
  type Seen,
  seen,
} from '../guarded-write.ts';
import type { KubernetesObject } from '../objects.ts';
import { onNamed, type Ruled } from '../rbac.ts';
import { Name, Namespace, referenceOf, Strict } from './inputs.ts';

const Input = Type.Object(
  {
    apiVersion: Type.Optional(
      Type.String({
        description: 'API group and version. Needed for kinds beyond the built-in workloads.',
        pattern: '^([a-z0-9.-]+/)?v[a-z0-9]+$',
        examples: ['apps/v1'],
      }),
    ),
    kind: Type.String({
      description: 'Kind of the object; Secret is refused.',
      pattern: '^[A-Z][A-Za-z0-9]*$',
      examples: ['Deployment'],
    }),
    namespace: Type.Optional(Namespace),
    name: Name('object', 'web'),
    patch: Type.Record(Type.String(), Type.Unknown(), {
      description: 'JSON merge patch: of metadata only labels and annotations, and no status. null removes a field.',
      minProperties: 1,
      maxProperties: 64,
    }),
  },
  { ...Strict, description: 'What to change, and how.' },
);

type Merge = { [key: string]: Json };
type Before = Seen & { restore: Merge; replicas: number | null };
type PatchInput = { kind: string; patch: Record<string, unknown> };

export function patchAction(api: () => KubernetesApi): Ruled<ActionDefinition> {
  const definition = defineAction<typeof Input, Before>({
    name: 'kubernetes patch',
    description: 'Changes fields of an object by a JSON merge patch, and knows their former values.',
    input: Input,
    positional: ['kind', 'namespace', 'name'],
    example: 'kubernetes patch Deployment acme web',
    effects: ['Change', 'ScaleUp', 'ScaleDown'],
    idempotent: true,
    effect: effectOf,
    describe: (input) => `Change ${fieldsOf(input.patch as Merge).join(', ')} of ${label(referenceOf(input))}`,
    async capture(context, input) {
      refuseForbidden(input);
      const object = await captureObject<KubernetesObject>(context, api(), referenceOf(input));
      const replicas = object.spec?.replicas;
      const restore = restoringPatch(object as unknown as Merge, input.patch as Merge);
      return { ...seen(object), restore, replicas: typeof replicas === 'number' ? replicas : null };
    },
    async execute(context, input, before) {
      refuseForbidden(input);
      const reference = referenceOf(input);
      const after = await guardedWrite<KubernetesObject>(context, {
        api: api(),
        reference,
        before,
        write: (object) => api().mergePatch(context, reference, marked(object, context, input.patch as Merge)),
      });
      const fields = fieldsOf(input.patch as Merge);
      return {
        sentence: `Changed ${fields.join(', ')} of ${label(reference)}`,
        result: { fields },
        target: observation(after),
      };
    },
    async happened(context, input, before) {
      const { object: _, ...answer } = await markedWrite(context, api(), referenceOf(input), before);
      return answer.answer === 'yes' ? { ...answer, result: { fields: fieldsOf(input.patch as Merge) } } : answer;
    },
    undo: ({ patch: _, ...rest }, before) => ({
      action: 'kubernetes patch',
      input: { ...rest, patch: before.restore },
    }),
  });
  return { definition, rules: [], rulesOnNamed: onNamed('get', 'patch') };
}

/** The values a merge patch would overwrite, as the merge patch that puts them back. */
export function restoringPatch(current: Merge, patch: Merge): Merge {
  const restore: Merge = {};
  for (const [key, value] of Object.entries(patch)) {
    const former = Object.hasOwn(current, key) ? current[key] : undefined;
    if (isObject(value) && isObject(former)) restore[key] = restoringPatch(former as Merge, value as Merge);
    else restore[key] = former ?? null;
  }
  return restore;
}

/** Dotted paths of the leaves of a patch. */
function fieldsOf(patch: Merge, prefix = ''): string[] {
  return Object.entries(patch).flatMap(([key, value]) =>
    isObject(value) && Object.keys(value).length > 0
      ? fieldsOf(value as Merge, `${prefix}${key}.`)
      : [`${prefix}${key}`],
  );
}

function effectOf({ patch }: PatchInput, { replicas }: Before): Effect {
  // A patch must not be a way around the guards that count replicas.
  const wanted = isObject(patch.spec) ? patch.spec.replicas : undefined;
  if (typeof wanted !== 'number' || wanted === replicas) return 'Change';
  return wanted > (replicas ?? 0) ? 'ScaleUp' : 'ScaleDown';
}

/** Refuses what must not be journaled (Secrets), is not ours to say (identity, status), or would blind the engine (the marker). */
function refuseForbidden({ kind, patch }: PatchInput): void {
  const refuse = (sentence: string, hint: string) => new CatalystError('BadRequest', sentence, { hint });
  if (kind === 'Secret') {
    throw refuse('a Secret may not be patched: its values would be on record', 'Rotate it with the rotation runbooks.');
  }
  for (const key of Object.keys(patch)) {
    if (['apiVersion', 'kind', 'status'].includes(key)) {
      throw refuse(`a patch may not hold ${key}`, 'Patch spec, labels or annotations.');
    }
  }
  const metadata = isObject(patch.metadata) ? patch.metadata : {};
  if (patch.metadata !== undefined && !isObject(patch.metadata))
    throw refuse('metadata must be an object', 'Patch its labels or annotations.');
  for (const key of Object.keys(metadata)) {
    if (key === 'labels' || key === 'annotations') continue;
    throw refuse(`a patch may not hold metadata.${key}`, 'Of metadata only labels and annotations can be patched.');
  }
  if (isObject(metadata.annotations) ? markerAnnotation in metadata.annotations : metadata.annotations === null) {
    throw refuse(
      `a patch may not touch the annotation ${markerAnnotation}`,
      'Leave it out: it is how a step knows what it did.',
    );
  }
}
