/** What the API server does to an object before it stores it: defaults, and the checks clients meet most often. */
import type { KubeObject, PodSpec, Tree, Workload } from './object.ts';
import { isTree, sameJson } from './object.ts';
import type { ResourceType } from './resources.ts';
import { storageKey } from './resources.ts';
import { matchesSelector } from './selectors.ts';
import { invalid, type StatusCause } from './status.ts';

type Cause = StatusCause & { field: string };

const SUBDOMAIN = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/;
const WORKLOADS = ['apps/deployments', 'apps/replicasets', 'apps/statefulsets'];

/** Fills in, in place, what a client may leave out. */
export function setDefaults(type: ResourceType, object: KubeObject): void {
  const key = storageKey(type);
  if (key === '/secrets') defaultSecret(object);
  if (key === '/namespaces') object.status ??= { phase: 'Active' };
  if (key === '/pods') defaultPodSpec(object.spec);
  if (!isTree(object.spec)) return;
  const spec = object.spec;
  if (WORKLOADS.includes(key)) spec.replicas ??= 1;
  if (key === 'apps/deployments') {
    spec.strategy ??= { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: '25%', maxSurge: '25%' } };
    spec.revisionHistoryLimit ??= 10;
    spec.progressDeadlineSeconds ??= 600;
  }
  if (key === 'batch/jobs') {
    spec.parallelism ??= 1;
    spec.completions ??= 1;
    spec.backoffLimit ??= 6;
  }
  if (isTree(spec.template)) defaultPodSpec(spec.template.spec);
  const isBuiltIn = type.definition === undefined;
  if (isBuiltIn && (type.counted || key === '/pods')) object.status ??= {};
}

function defaultPodSpec(spec: unknown): void {
  if (!isTree(spec)) return;
  spec.restartPolicy ??= 'Always';
  spec.terminationGracePeriodSeconds ??= 30;
  spec.dnsPolicy ??= 'ClusterFirst';
}

function defaultSecret(object: KubeObject): void {
  object.type ??= 'Opaque';
  if (!isTree(object.stringData)) return;
  const encoded = Object.entries(object.stringData).map(([key, text]) => [
    key,
    Buffer.from(String(text)).toString('base64'),
  ]);
  object.data = { ...(isTree(object.data) ? object.data : {}), ...Object.fromEntries(encoded) };
  delete object.stringData;
}

/** Throws `Invalid` with every cause found. */
export function validate(type: ResourceType, object: KubeObject, before?: KubeObject): void {
  const causes = nameCauses(object.metadata.name);
  const key = storageKey(type);
  if (WORKLOADS.includes(key)) causes.push(...workloadCauses(object as Workload, before as Workload | undefined));
  if (key === '/pods' && before) causes.push(...podUpdateCauses(object.spec as PodSpec, before.spec as PodSpec));
  if (causes.length > 0) throw invalid(type.kind, type.group, object.metadata.name, causes);
}

function nameCauses(name: string): Cause[] {
  if (SUBDOMAIN.test(name) && name.length <= 253) return [];
  const message =
    `Invalid value: ${JSON.stringify(name)}: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric ` +
    "characters, '-' or '.', and must start and end with an alphanumeric character";
  return [{ reason: 'FieldValueInvalid', message, field: 'metadata.name' }];
}

function workloadCauses(object: Workload, before: Workload | undefined): Cause[] {
  const causes: Cause[] = [];
  const { spec } = object;
  if (!isTree(spec) || !isTree(spec.template)) {
    return [{ reason: 'FieldValueRequired', message: 'Required value', field: 'spec.template' }];
  }
  if (!Number.isInteger(spec.replicas) || spec.replicas < 0) {
    const message = `Invalid value: ${JSON.stringify(spec.replicas)}: must be greater than or equal to 0`;
    causes.push({ reason: 'FieldValueInvalid', message, field: 'spec.replicas' });
  }
  if (!matchesSelector(spec.selector, spec.template.metadata?.labels ?? {})) {
    const labels = JSON.stringify(spec.template.metadata?.labels ?? {});
    const message = `Invalid value: ${labels}: \`selector\` does not match template \`labels\``;
    causes.push({ reason: 'FieldValueInvalid', message, field: 'spec.template.metadata.labels' });
  }
  if (!spec.template.spec?.containers?.length) {
    causes.push({ reason: 'FieldValueRequired', message: 'Required value', field: 'spec.template.spec.containers' });
  }
  if (before && !sameJson(before.spec.selector, spec.selector)) {
    const message = `Invalid value: ${JSON.stringify(spec.selector)}: field is immutable`;
    causes.push({ reason: 'FieldValueInvalid', message, field: 'spec.selector' });
  }
  return causes;
}

function podUpdateCauses(spec: PodSpec, before: PodSpec): Cause[] {
  // A node is given once, by the scheduler's binding.
  const nodeName = before.nodeName ?? spec.nodeName;
  const fixed = ({ containers, tolerations: _, activeDeadlineSeconds: __, ...rest }: PodSpec): Tree => ({
    ...rest,
    ...(nodeName === undefined || rest.nodeName !== undefined ? {} : { nodeName }),
    containers: containers.map(({ image: ___, ...container }) => container),
  });
  if (sameJson(fixed(spec), fixed(before))) return [];
  const message =
    'Forbidden: pod updates may not change fields other than `spec.containers[*].image`, ' +
    '`spec.activeDeadlineSeconds` or `spec.tolerations`';
  return [{ reason: 'FieldValueForbidden', message, field: 'spec' }];
}
