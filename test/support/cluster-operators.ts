/**
 * The operators of CloudNativePG and Strimzi as far as a failover needs them, on a real API server: neither can be had
 * here. They answer a changed `spec` with the `status` that their documentation promises, and do nothing else.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Kubernetes } from '../../testbed/kubernetes.ts';

export interface PostgresCluster {
  metadata: { annotations?: Record<string, string> };
  spec: { replica: { self: string; primary: string; source: string; promotionToken?: string } };
  status?: { demotionToken?: string; lastPromotionToken?: string; phase?: string; timelineID?: number };
}

export interface Mirror {
  metadata: { generation: number; annotations?: Record<string, string> };
  spec: { mirrors: { sourceConnector: { state?: string } }[] };
  status?: { observedGeneration?: number; connectors?: { connector: { state: string } }[] };
}

/** Looks so often, ms: an operator's watch is quicker, its work slower; and each look costs the API server. */
const lookEveryMs = 250;

/** Answers until it is stopped. @param paths of the Cluster and of the KafkaMirrorMaker2 */
export function operate(cluster: Kubernetes, paths: { postgres: string; mirror: string }): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const report = (path: string, status: object) =>
    cluster.request(`${path}/status`, {
      method: 'PATCH',
      contentType: 'application/merge-patch+json',
      body: { status },
    });
  let wasPrimary = false;
  let tokens = 0;
  let told = '';
  const postgres = async () => {
    const { metadata, spec, status } = await cluster.request<PostgresCluster>(paths.postgres);
    const { self, primary, promotionToken } = spec.replica;
    const fenced = metadata.annotations?.['cnpg.io/fencedInstances'] !== undefined;
    const now = JSON.stringify([primary, promotionToken, fenced]);
    if (now === told) return;
    const leads = primary === self;
    const condition = {
      type: 'ReplicaClusterSwitch',
      status: 'True',
      reason: 'ReplicaClusterSwitch',
      message: leads ? 'promoted' : 'demoted',
      lastTransitionTime: new Date().toISOString(),
    };
    if (wasPrimary && !leads) tokens += 1;
    await report(paths.postgres, {
      systemID: '7001',
      // A promotion begins a timeline of its own.
      timelineID: (status?.timelineID ?? 1) + (leads && !wasPrimary && told !== '' ? 1 : 0),
      phase: 'Cluster in healthy state',
      readyInstances: fenced ? 0 : 1,
      secretsResourceVersion: { applicationSecretVersion: '1' },
      conditions: [condition],
      ...(wasPrimary && !leads ? { demotionToken: `${self}-token-${tokens}` } : {}),
      ...(leads && promotionToken !== undefined ? { lastPromotionToken: promotionToken } : {}),
    });
    wasPrimary = leads;
    told = now;
  };
  const mirror = async () => {
    const { metadata, spec, status } = await cluster.request<Mirror>(paths.mirror);
    if (status?.observedGeneration === metadata.generation) return;
    await report(paths.mirror, {
      observedGeneration: metadata.generation,
      connectors: spec.mirrors.map(({ sourceConnector }, i) => ({
        name: `mirror-${i}.MirrorSourceConnector`,
        connector: { state: sourceConnector.state === 'stopped' ? 'STOPPED' : 'RUNNING' },
      })),
    });
  };
  const loop = (async () => {
    while (!stopping.signal.aborted) {
      // A conflict with a write of the controller, or a server that is stopping: the next look comes soon.
      await Promise.all([postgres(), mirror()]).catch(() => {});
      await delay(lookEveryMs);
    }
  })();
  return {
    stop: async () => {
      stopping.abort();
      await loop;
    },
  };
}
