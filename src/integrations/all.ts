/** All integrations there are, and the schema of their configuration. Adding a system adds its lines here and nowhere else. */
import Type, { type Static } from 'typebox';
import type { Clock } from '../clock.ts';
import { type Alertmanager, createAlertmanager } from './alertmanager/index.ts';
import { AlertmanagerConfig } from './alertmanager/schema.ts';
import { createBudget } from './budget/index.ts';
import { BudgetConfig } from './budget/schema.ts';
import type { Integration } from './contract.ts';
import { createGitea } from './gitea/index.ts';
import { GiteaConfig } from './gitea/schema.ts';
import { createHttp } from './http/index.ts';
import { HttpConfig } from './http/schema.ts';
import { createKubernetes, type Kubernetes } from './kubernetes/index.ts';
import { KubernetesConfig } from './kubernetes/schema.ts';
import { createNotify, type Notify } from './notify/index.ts';
import { NotifyConfig } from './notify/schema.ts';
import { createOpenBao } from './openbao/index.ts';
import { OpenBaoConfig } from './openbao/schema.ts';
import { createPrometheus, type Prometheus } from './prometheus/index.ts';
import { PrometheusConfig } from './prometheus/schema.ts';
import type { Secrets } from './secrets.ts';
import { createSlo } from './slo/index.ts';
import { createSpire } from './spire/index.ts';
import { SpireConfig } from './spire/schema.ts';

/** The `integrations` part of the configuration. A system that is left out is not configured. */
export const IntegrationsConfig = Type.Object(
  {
    kubernetes: Type.Optional(KubernetesConfig),
    prometheus: Type.Optional(PrometheusConfig),
    alertmanager: Type.Optional(AlertmanagerConfig),
    openbao: Type.Optional(OpenBaoConfig),
    spire: Type.Optional(SpireConfig),
    gitea: Type.Optional(GiteaConfig),
    http: Type.Optional(HttpConfig),
    notify: Type.Optional(NotifyConfig),
    budget: Type.Optional(BudgetConfig),
  },
  { additionalProperties: false, description: 'The systems that are observed and acted on.' },
);
export type IntegrationsConfig = Static<typeof IntegrationsConfig>;

export interface IntegrationPorts {
  secrets: Secrets;
  clock: Clock;
}

export interface Integrations {
  all: readonly Integration[];
  /** Those that offer more than the contract, by name. */
  kubernetes: Kubernetes;
  prometheus: Prometheus;
  alertmanager: Alertmanager;
  notify: Notify;
  stop(): Promise<void>;
}

/** Makes every integration; none does any I/O yet. */
export function createIntegrations(config: IntegrationsConfig, ports: IntegrationPorts): Integrations {
  const kubernetes = createKubernetes(config.kubernetes, ports);
  const prometheus = createPrometheus(config.prometheus, ports);
  const alertmanager = createAlertmanager(config.alertmanager, ports);
  const notify = createNotify(config.notify, ports);
  const all: readonly Integration[] = [
    kubernetes,
    prometheus,
    alertmanager,
    createOpenBao(config.openbao, ports),
    createSpire(config.spire),
    createGitea(config.gitea, ports),
    createHttp(config.http, ports),
    notify,
    createBudget(config.budget, prometheus),
    createSlo(prometheus),
  ];
  return {
    all,
    kubernetes,
    prometheus,
    alertmanager,
    notify,
    stop: async () => {
      await Promise.allSettled(all.map((integration) => integration.stop?.()));
    },
  };
}
