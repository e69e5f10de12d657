/** `kubernetes scale`: more or fewer replicas, within limits, never twice. */
import Type from 'typebox';
import { CatalystError } from '../../../errors.ts';
import type { ActionDefinition, Effect } from '../../contract.ts';
import { defineAction } from '../../define.ts';
import { type KubernetesApi, label } from '../client.ts';
import { captureObject, guardedWrite, marked, markedWrite, observation, type Seen, seen } from '../guarded-write.ts';
import type { Workload } from '../objects.ts';
import { type Ruled, workloadWrites } from '../rbac.ts';
import { KindOf, Name, Namespace, referenceOf, Strict } from './inputs.ts';

/** Replicas allowed where the runbook does not say: a mistake in a number stays small. */
const defaultMax = 10;
/** Fewer than one replica is an outage; whoever wants that says so with `min: 0`. */
const defaultMin = 1;

const Input = Type.Object(
  {
    kind: KindOf('Deployment', 'StatefulSet'),
    namespace: Namespace,
    name: Name('workload', 'web'),
    replicas: Type.String({
      description: 'How many: a number ("3"), or a change against what there is ("+1", "-1"). In YAML it is quoted.',
      pattern: '^[+-]?[0-9]{1,4}$',
      examples: ['+1'],
    }),
    min: Type.Optional(
      Type.Integer({ description: `Never fewer than this. Default ${defaultMin}.`, minimum: 0, maximum: 9999 }),
    ),
    max: Type.Optional(
      Type.Integer({ description: `Never more than this. Default ${defaultMax}.`, minimum: 0, maximum: 9999 }),
    ),
  },
  { ...Strict, description: 'What to scale, and to how many replicas.' },
);

type Limits = { replicas: string; min?: number; max?: number };
type Before = Seen & { replicas: number };

/** The replicas wanted. Throws RefusedByGuard outside the limits: a scale that cannot be carried out is a person's matter. */
export function replicasWanted(input: Limits, current: number): number {
  const { replicas, min = defaultMin, max = defaultMax } = input;
  const wanted = /^[+-]/.test(replicas) ? current + Number(replicas) : Number(replicas);
  if (wanted === current || (wanted >= min && wanted <= max)) return wanted;
  throw new CatalystError(
    'RefusedByGuard',
    `${wanted} replicas are outside the limits of ${min} to ${max} (now ${current})`,
    {
      details: { reason: 'ReplicaLimit', wanted, current, min, max },
      hint: 'Change min or max of the step where so many are really wanted.',
    },
  );
}

export function scaleAction(api: () => KubernetesApi): Ruled<ActionDefinition> {
  const definition = defineAction<typeof Input, Before>({
    name: 'kubernetes scale',
    description: 'Changes the number of replicas of a Deployment or StatefulSet, within limits.',
    input: Input,
    positional: ['kind', 'namespace', 'name'],
    example: 'kubernetes scale Deployment acme web --replicas +1 --max 6',
    effects: ['ScaleUp', 'ScaleDown', 'ReadOnly'],
    idempotent: true,
    effect: (input, before) => effectOf(before.replicas, replicasWanted(input, before.replicas)),
    describe: (input, before) =>
      `Scale ${label(input)} from ${before.replicas} to ${replicasWanted(input, before.replicas)} replicas`,
    async capture(context, input) {
      const object = await captureObject<Workload>(context, api(), referenceOf(input));
      // An absent number means one replica; the API server fills it in, and so does this.
      const replicas = object.spec?.replicas ?? 1;
      replicasWanted(input, replicas);
      return { ...seen(object), replicas };
    },
    async execute(context, input, before) {
      const wanted = replicasWanted(input, before.replicas);
      const reference = referenceOf(input);
      const after = await guardedWrite<Workload>(context, {
        api: api(),
        reference,
        before,
        write: (object) =>
          api().mergePatch(context, reference, marked(object, context, { spec: { replicas: wanted } })),
      });
      return {
        sentence: `Scaled ${label(input)} from ${before.replicas} to ${wanted} replicas`,
        result: { from: before.replicas, to: wanted },
        target: observation(after),
      };
    },
    async happened(context, input, before) {
      const { object: _, ...answer } = await markedWrite(context, api(), referenceOf(input), before);
      if (answer.answer !== 'yes') return answer;
      return { ...answer, result: { from: before.replicas, to: replicasWanted(input, before.replicas) } };
    },
    undo: (input, before) => ({
      action: 'kubernetes scale',
      input: {
        kind: input.kind,
        namespace: input.namespace,
        name: input.name,
        replicas: String(before.replicas),
        // What was there before is within the limits by definition.
        min: Math.min(input.min ?? defaultMin, before.replicas),
        max: Math.max(input.max ?? defaultMax, before.replicas),
      },
    }),
  });
  return { definition, rules: workloadWrites('deployments', 'statefulsets') };
}

function effectOf(current: number, wanted: number): Effect {
  if (wanted === current) return 'ReadOnly';
  return wanted > current ? 'ScaleUp' : 'ScaleDown';
}
