/** Kubernetes objects as targets of runbooks. */
import type { TargetProvider } from '../contract.ts';
import type { KubernetesApi } from './client.ts';
import { captureObject, observation } from './guarded-write.ts';
import { defaultApiVersion } from './kinds.ts';
import type { KubernetesObject } from './objects.ts';

export function kubernetesTargets(api: () => KubernetesApi): TargetProvider {
  return {
    async bind(context, reference) {
      const apiVersion = reference.apiVersion === '' ? defaultApiVersion(reference.kind) : reference.apiVersion;
      const object = await captureObject<KubernetesObject>(context, api(), { ...reference, apiVersion });
      return { ...reference, apiVersion, uid: object.metadata.uid, generation: object.metadata.generation ?? 0 };
    },
    async observe(context, target) {
      const object = await api().find<KubernetesObject>(context, target);
      // Another object of the same name is not the target: the target is gone.
      if (object === undefined || object.metadata.uid !== target.uid) {
        return { state: 'Gone', uid: target.uid, generation: target.generation };
      }
      return observation(object);
    },
  };
}
