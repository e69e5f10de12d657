/**
 * The configuration of Alertmanager (handbook §12, so that it works): for our receiver, for Mimir, and for a Gitea that is
 * to be told directly.
 */

import { byText } from '../catalog/order.ts';
import { writeYaml } from '../catalog/yaml-writer.ts';
import { declaredAlerts } from './answer-lint.ts';
import type { SloDocuments } from './documents.ts';
import { generatedBy, type RenderedText } from './prometheus-files.ts';

/** Where the alerts go. */
export interface AlertmanagerOptions {
  /** Of our receiver. */
  receiverUrl: string;
  /** File in Alertmanager's container that holds its bearer token. */
  tokenFile: string;
  /** Of a service outside of the Sovereign that calls people when it is no longer called. */
  heartbeatUrl?: string | undefined;
  giteaUrl: string;
  /** `0.25`: newer versions know more. */
  version: string;
}

export const defaultAlertmanagerOptions: AlertmanagerOptions = {
  receiverUrl: 'http://catalyst-sre.catalyst-system.svc:8080/hooks/alertmanager',
  tokenFile: '/etc/alertmanager/secrets/catalyst-sre/token',
  giteaUrl: 'http://gitea-http.gitea.svc:3000',
  version: '0.25',
};

interface Receiver {
  name: string;
  webhook_configs?: object[];
}

interface Route {
  receiver: string;
  matchers?: string[];
  group_by?: string[];
  group_wait?: string;
  group_interval?: string;
  repeat_interval?: string;
  continue?: boolean;
  routes?: Route[];
}

/** The service of bp-cortex, whose alerts its own people get, too. */
const aiHub = 'cortex';

function routes(documents: Pick<SloDocuments, 'slos' | 'alerts'>): Route {
  const aiOnCall = {
    receiver: 'ai-oncall',
    // The rules put the name of the model into the label model.
    group_by: ['alertname', 'cluster', 'namespace', 'model'],
    // Without this a critical alert would reach either these people or the others.
    continue: true,
  };
  const elsewhere = withoutNamespace(documents);
  return {
    receiver: 'catalyst-sre',
    group_by: ['alertname', 'cluster', 'namespace'],
    group_wait: '30s',
    group_interval: '5m',
    repeat_interval: '4h',
    routes: [
      {
        matchers: ['alertname="Watchdog"'],
        receiver: 'heartbeat',
        group_by: ['alertname'],
        group_wait: '0s',
        group_interval: '1m',
        repeat_interval: '1m',
      },
      { matchers: [`namespace="${aiHub}"`], ...aiOnCall },
      ...(elsewhere.length > 0
        ? [{ matchers: ['namespace=""', `alertname=~"${elsewhere.join('|')}"`], ...aiOnCall }]
        : []),
      { matchers: ['severity="critical"'], receiver: 'catalyst-sre', group_wait: '10s' },
    ],
  };
}

/** Alerts of the AI Hub that carry no namespace, such as those of a GPU. */
function withoutNamespace(documents: Pick<SloDocuments, 'slos' | 'alerts'>): string[] {
  const names = declaredAlerts(documents)
    .filter(({ resource }) => (resource.spec as { service: string }).service === aiHub)
    .filter(({ labels }) => !labels.labels.has('namespace'))
    .map(({ alert }) => alert);
  return [...new Set(names)].sort(byText);
}

/** What goes without saying once its cause is known. */
const causes: readonly { cause: string; effects: readonly string[]; equal: readonly string[] }[] = [
  {
    cause: 'ConsoleUnreachable',
    effects: ['ConsoleAvailabilityLow', 'ConsoleAvailabilityBudgetBurn'],
    equal: ['cluster'],
  },
  {
    cause: 'VLLMNotResponding',
    effects: ['VLLMHighLatency', 'LLMTokenThroughputLow'],
    equal: ['cluster', 'namespace'],
  },
  { cause: 'EmbeddingServiceDown', effects: ['EmbeddingLatencyHigh'], equal: ['cluster'] },
  { cause: 'MilvusQueryTimeout', effects: ['RAGRetrievalSlow'], equal: ['cluster', 'namespace'] },
];

/** Labels that tell alerts of one name apart; where neither alert has one, it counts as the same. */
function identity({ slos }: Pick<SloDocuments, 'slos'>): string[] {
  const grouping = new Set(slos.flatMap(({ by }) => by));
  return [...new Set(['alertname', 'cluster', 'namespace', 'slo', ...[...grouping].sort(byText)])];
}

/**
 * While one of these fires, alerts reach nobody. The heartbeat is held back, so that its silence calls people from outside
 * of the Sovereign: the dead-man's switch covers the way to the end.
 */
const endsOfTheWay = [
  'CatalystSreDown',
  'CatalystSreIntakeFailing',
  'CatalystSreIntakeBacklog',
  'CatalystSrePagesFailed',
  'NotificationsFailing',
];

const inhibitions = (documents: Pick<SloDocuments, 'slos'>) => [
  {
    source_matchers: ['severity="critical"'],
    target_matchers: ['severity=~"warning|info"'],
    equal: identity(documents),
  },
  {
    source_matchers: [`alertname=~"${endsOfTheWay.join('|')}"`],
    target_matchers: ['alertname="Watchdog"'],
    equal: ['cluster'],
  },
  ...causes.map(({ cause, effects, equal }) => ({
    source_matchers: [`alertname="${cause}"`],
    target_matchers: [`alertname=~"${effects.join('|')}"`],
    equal: [...equal],
  })),
];

/** Alertmanager tries again after an answer of 5xx, and never after one of 4xx. */
const timeout = '10s';

/** Whether a version is at least another: `0.28` after `0.25`. */
function atLeast(version: string, wanted: string): boolean {
  const [a = 0, b = 0] = version.split('.').map(Number);
  const [c = 0, d = 0] = wanted.split('.').map(Number);
  return a > c || (a === c && b >= d);
}

function webhook(url: string, options: AlertmanagerOptions, further: object = {}): object {
  return {
    url,
    send_resolved: true,
    ...(atLeast(options.version, '0.28') ? { timeout } : {}),
    http_config: {
      authorization: { type: 'Bearer', credentials_file: options.tokenFile },
      follow_redirects: false,
    },
    ...further,
  };
}

function heartbeat({ heartbeatUrl, version }: AlertmanagerOptions): Receiver {
  if (heartbeatUrl === undefined) return { name: 'heartbeat' };
  const limit = atLeast(version, '0.28') ? { timeout } : {};
  return { name: 'heartbeat', webhook_configs: [{ url: heartbeatUrl, send_resolved: false, ...limit }] };
}

function configuration(
  documents: Pick<SloDocuments, 'slos' | 'alerts'>,
  options: AlertmanagerOptions,
  receivers: Receiver[],
): string {
  const text = writeYaml({
    global: { resolve_timeout: '5m' },
    route: routes(documents),
    inhibit_rules: inhibitions(documents),
    receivers: [...receivers, heartbeat(options)],
  });
  const note =
    options.heartbeatUrl === undefined
      ? '# The receiver heartbeat is empty: give --heartbeat-url, a service outside of the Sovereign that calls people\n# when it is no longer called.\n'
      : '';
  return `${generatedBy('alertmanager')}${note}${text}`;
}

export function alertmanagerFiles(
  documents: Pick<SloDocuments, 'slos' | 'alerts'>,
  options: AlertmanagerOptions,
): RenderedText[] {
  const ours = configuration(documents, options, [
    { name: 'catalyst-sre', webhook_configs: [webhook(options.receiverUrl, options)] },
    { name: 'ai-oncall', webhook_configs: [webhook(options.receiverUrl, options)] },
  ]);
  const mimir = writeYaml({ template_files: {}, alertmanager_config: ours });
  return [
    { path: 'alertmanager/alertmanager.yml', text: ours },
    { path: 'alertmanager/alertmanager-gitea.yml', text: giteaVariant(documents, options) },
    { path: 'mimir/alertmanager.yaml', text: generatedBy('alertmanager') + mimir },
  ];
}

/**
 * Gitea's workflow route takes `{ref, inputs}`, which Alertmanager can send since 0.32 (`payload`). Nobody tells it apart
 * when an alert is sent twice, and an answer that is lost is lost: our receiver does better.
 */
function giteaVariant(documents: Pick<SloDocuments, 'slos' | 'alerts'>, options: AlertmanagerOptions): string {
  const newer = { ...options, version: '0.32' };
  const dispatch = (repository: string) =>
    webhook(
      `${options.giteaUrl}/api/v1/repos/${repository}/actions/workflows/alert.yaml/dispatches`,
      { ...newer, tokenFile: '/etc/alertmanager/secrets/gitea/token' },
      {
        payload: {
          ref: 'main',
          inputs: {
            status: '{{ .Status }}',
            alertname: '{{ .CommonLabels.alertname }}',
            namespace: '{{ .CommonLabels.namespace }}',
            severity: '{{ .CommonLabels.severity }}',
          },
        },
      },
    );
  const text = configuration(documents, newer, [
    { name: 'catalyst-sre', webhook_configs: [dispatch('system/platform')] },
    { name: 'ai-oncall', webhook_configs: [dispatch('system/cortex')] },
  ]);
  return text.replace('\n', '\n# Without our receiver: Alertmanager 0.32 or newer tells Gitea directly.\n');
}
