/** Kubernetes: the cluster's workloads, as facts, actions and targets. */
import type { Clock } from '../../clock.ts';
import type { Integration } from '../contract.ts';
import { configured, healthOf } from '../define.ts';
import type { HttpClient } from '../http-client.ts';
import type { Secrets } from '../secrets.ts';
import { kubernetesActions } from './actions.ts';
import { KubernetesApi } from './client.ts';
import { type ClusterSource, clusterSourceRules, createClusterSource, type DocumentKind } from './cluster-source.ts';
import { connect } from './connection.ts';
import { kubernetesFacts } from './facts.ts';
import { renderClusterRole, type Wanted } from './rbac.ts';
import type { KubernetesConfig } from './schema.ts';
import { kubernetesTargets } from './targets.ts';

export interface KubernetesPorts {
  secrets: Secrets;
}

export interface Kubernetes extends Integration {
  /** The cluster's own documents of a kind, for the catalog. Throws NotConfigured. */
  clusterSource(clock: Clock, kind: DocumentKind, onInterruption?: (sentence: string) => void): ClusterSource;
  /** Least-privilege ClusterRole (YAML) for the facts and actions named; `cluster source` stands for reading documents. */
  clusterRole(name: string, wanted: readonly Wanted[]): string;
}

export function createKubernetes(config: KubernetesConfig | undefined, ports: KubernetesPorts): Kubernetes {
  let connected: Promise<HttpClient> | undefined;
  const connectOnce = (settings: KubernetesConfig) => async () => {
    connected ??= connect(settings, ports.secrets);
    try {
      return await connected;
    } catch (error) {
      // A kubeconfig that is mended counts with the next call.
      connected = undefined;
      throw error;
    }
  };
  const made = config === undefined ? undefined : new KubernetesApi(connectOnce(config));
  const api = () => configured(made, 'kubernetes');
  const facts = kubernetesFacts(api);
  const actions = kubernetesActions(api);
  const source = { definition: { name: 'cluster source' }, rules: [], rulesOnNamed: clusterSourceRules };
  return {
    name: 'kubernetes',
    description: 'Workloads, pods and events of the cluster.',
    configured: made !== undefined,
    facts: facts.map(({ definition }) => definition),
    actions: actions.map(({ definition }) => definition),
    targets: kubernetesTargets(api),
    health: (context) => healthOf(async () => `Kubernetes ${await api().version(context)} answers`),
    stop: async () => (await connected?.catch(() => undefined))?.close(),
    clusterSource: (clock, kind, onInterruption) => createClusterSource(api(), clock, kind, onInterruption),
    clusterRole: (name, wanted) => renderClusterRole(name, [...facts, ...actions, source], wanted),
  };
}
