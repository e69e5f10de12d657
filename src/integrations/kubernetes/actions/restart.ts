/** `kubernetes restart`: a rolling restart, as `kubectl rollout restart` does it. */
import Type from 'typebox';
import { CatalystError } from '../../../errors.ts';
import type { ActionDefinition } from '../../contract.ts';
import { defineAction } from '../../define.ts';
import { type KubernetesApi, label } from '../client.ts';
import { captureObject, guardedWrite, marked, markedWrite, observation, type Seen, seen } from '../guarded-write.ts';
import type { Workload } from '../objects.ts';
import { type Ruled, workloadWrites } from '../rbac.ts';
import { KindOf, Name, Namespace, referenceOf, Strict } from './inputs.ts';

const restartedAtAnnotation = 'kubectl.kubernetes.io/restartedAt';

const Input = Type.Object(
  { kind: KindOf('Deployment', 'StatefulSet', 'DaemonSet'), namespace: Namespace, name: Name('workload', 'web') },
  { ...Strict, description: 'What to restart.' },
);

type Before = Seen & { replicas: number };

export function restartAction(api: () => KubernetesApi): Ruled<ActionDefinition> {
  const definition = defineAction<typeof Input, Before>({
    name: 'kubernetes restart',
    description: 'Restarts the pods of a workload one after the other, by its own roll-out strategy.',
    input: Input,
    positional: ['kind', 'namespace', 'name'],
    example: 'kubernetes restart Deployment acme web',
    effects: ['Restart'],
    idempotent: true,
    effect: () => 'Restart',
    describe: (input, before) => `Restart ${label(input)} (${before.replicas} replicas) by its roll-out strategy`,
    async capture(context, input) {
      const object = await captureObject<Workload>(context, api(), referenceOf(input));
      refusePaused(object, label(input));
      return { ...seen(object), replicas: object.spec?.replicas ?? object.status?.replicas ?? 0 };
    },
    async execute(context, input, before) {
      const reference = referenceOf(input);
      const restartedAt = new Date(context.clock.now()).toISOString();
      const change = { spec: { template: { metadata: { annotations: { [restartedAtAnnotation]: restartedAt } } } } };
      const after = await guardedWrite<Workload>(context, {
        api: api(),
        reference,
        before,
        write: (object) => {
          refusePaused(object, label(input));
          return api().mergePatch(context, reference, marked(object, context, change));
        },
      });
      const result = {
        restartedAt: after.spec?.template?.metadata?.annotations?.[restartedAtAnnotation] ?? restartedAt,
      };
      return { sentence: `Restarted ${label(input)}`, result, target: observation(after) };
    },
    async happened(context, input, before) {
      const { object, ...answer } = await markedWrite(context, api(), referenceOf(input), before);
      if (answer.answer !== 'yes') return answer;
      const restartedAt = (object as Workload).spec?.template?.metadata?.annotations?.[restartedAtAnnotation] ?? null;
      return { ...answer, result: { restartedAt } };
    },
  });
  return { definition, rules: workloadWrites('deployments', 'statefulsets', 'daemonsets') };
}

/** A paused Deployment would take the change and start nothing: a success that restarts no pod. */
function refusePaused(object: Workload, what: string): void {
  if (object.spec?.paused !== true) return;
  throw new CatalystError('InvalidState', `${what} is paused, so a restart would not start`, {
    hint: 'Resume it with kubectl rollout resume, or ask whoever paused it.',
  });
}
