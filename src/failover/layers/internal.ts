/**
 * Internal traffic (handbook §2.4): what the other cluster may send here. A standby withdraws its backends from the mesh
 * (`service.cilium.io/shared: "false"`, the default it is put back to first thing at start); the active shares them.
 */
import type { FailoverGroupSpec } from '../../catalog/kinds/failover-group.ts';
import { messageOf } from '../../errors.ts';
import type { CallContext, Json } from '../../integrations/contract.ts';
import type { KubernetesApi } from '../../integrations/kubernetes/client.ts';
import { applyUnderEpoch, patchUnderEpoch } from './epoch-write.ts';
import { type Authority, type CheckResult, liveEpoch, type StepOutcome, type TrafficLayer } from './layer.ts';

const global = 'service.cilium.io/global';
const shared = 'service.cilium.io/shared';
/**
 * Never written: `none` drops every remote backend in some versions (cilium#46623), and `local` is all or nothing. Taking
 * it away is what makes both clusters use whatever is shared.
 */
const affinity = 'service.cilium.io/affinity';

type Internal = NonNullable<FailoverGroupSpec['internal']>;
type Endpoints = NonNullable<Internal['endpoints']>[number];
interface Named {
  namespace: string;
  name: string;
}

const serviceOf = ({ namespace, name }: Named) => ({ apiVersion: 'v1', kind: 'Service', namespace, name });

/** The newest version of EndpointSlices that a cluster serves: v1 from 1.21. */
async function sliceVersion(api: KubernetesApi, context: CallContext): Promise<string> {
  return (await api.serves(context, 'discovery.k8s.io/v1')) ? 'discovery.k8s.io/v1' : 'discovery.k8s.io/v1beta1';
}

/** The slice of a Service without a selector: its addresses while open, none while closed. */
function sliceFields(endpoints: Endpoints, open: boolean) {
  const { name, addresses, port } = endpoints;
  const slice: { [field: string]: Json } = {
    addressType: addresses.some((address) => address.includes(':')) ? 'IPv6' : 'IPv4',
    endpoints: open ? addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })) : [],
    ports: [{ name: '', port, protocol: 'TCP' }],
  };
  return {
    ...slice,
    metadata: {
      labels: {
        'kubernetes.io/service-name': name,
        // Tells the cluster's own controller to keep its hands off.
        'endpointslice.kubernetes.io/managed-by': 'catalyst-sre-failover',
      },
    },
  };
}

export function createInternalLayer(group: string, internal: Internal, api: KubernetesApi): TrafficLayer {
  const { services = [], endpoints = [] } = internal;

  const set = async (context: CallContext, authority: Authority, open: boolean): Promise<StepOutcome> => {
    if (open) liveEpoch(authority);
    const failures: string[] = [];
    const attempt = async (what: Named, write: () => Promise<unknown>) => {
      try {
        await write();
      } catch (error) {
        failures.push(`${what.namespace}/${what.name}: ${messageOf(error)}`);
      }
    };
    for (const service of services) await attempt(service, () => shareService(api, context, authority, service, open));
    for (const slice of endpoints)
      await attempt(slice, async () =>
        applyUnderEpoch(
          api,
          context,
          authority,
          {
            apiVersion: await sliceVersion(api, context),
            kind: 'EndpointSlice',
            namespace: slice.namespace,
            name: `${slice.name}-failover`,
          },
          sliceFields(slice, open),
          { create: true },
        ),
      );
    const what = open ? 'shared with the mesh' : 'withdrawn from the mesh';
    if (failures.length > 0) throw new Error(`Not everything is ${what}: ${failures.join('; ')}.`);
    return { sentence: `${services.length} Services and ${endpoints.length} EndpointSlices of ${group} are ${what}.` };
  };

  return {
    name: 'internal',
    open: (context, authority) => set(context, authority, true),
    close: (context, authority) => set(context, authority, false),
    checks: async (context) => {
      const results: CheckResult[] = [];
      for (const service of services) results.push(await checkService(api, context, service));
      if (services.length > 0) results.push(await checkCacheTtl(api, context));
      return results;
    },
  };
}

async function shareService(
  api: KubernetesApi,
  context: CallContext,
  authority: Authority,
  service: Named,
  open: boolean,
): Promise<void> {
  const reference = serviceOf(service);
  await applyUnderEpoch(api, context, authority, reference, {
    metadata: { annotations: { [global]: 'true', [shared]: String(open) } },
  });
  if (open)
    await patchUnderEpoch(api, context, authority, reference, (object) =>
      object.metadata.annotations?.[affinity] === undefined
        ? undefined
        : // A merge patch takes a key away by null, whoever set it.
          { metadata: { annotations: { [affinity]: null } } },
    );
}

async function checkService(api: KubernetesApi, context: CallContext, service: Named): Promise<CheckResult> {
  const check = 'mesh-service';
  const name = `Service ${service.namespace}/${service.name}`;
  const object = await api.find(context, serviceOf(service)).catch((error: unknown) => messageOf(error));
  if (typeof object === 'string') return { check, verdict: 'unknown', sentence: `${name}: ${object}.` };
  if (object === undefined) return { check, verdict: 'failed', sentence: `${name} does not exist in this region.` };
  if (object.metadata.annotations?.[affinity] === 'none')
    return { check, verdict: 'failed', sentence: `${name} has affinity none, which drops remote backends.` };
  return { check, verdict: 'passed', sentence: `${name} is there.` };
}

/** With 0 (the default) the backends of a cluster that cannot be reached are kept for ever. */
async function checkCacheTtl(api: KubernetesApi, context: CallContext): Promise<CheckResult> {
  const check = 'mesh-cache-ttl';
  const reference = { apiVersion: 'v1', kind: 'ConfigMap', namespace: 'kube-system', name: 'cilium-config' };
  try {
    const config = (await api.get(context, reference)) as unknown as { data?: Record<string, string> };
    const ttl = config.data?.['clustermesh-cache-ttl'] ?? '0s';
    if (/^0*[a-z]*$/.test(ttl))
      return { check, verdict: 'failed', sentence: 'clustermesh.cacheTTL is 0: a lost cluster keeps getting traffic.' };
    return { check, verdict: 'passed', sentence: `clustermesh.cacheTTL is ${ttl}.` };
  } catch (error) {
    return { check, verdict: 'unknown', sentence: `cilium-config cannot be read: ${messageOf(error)}.` };
  }
}
