/** From the components of a group to what can be done with them in this region. */
import { parseDuration } from '../../catalog/duration.ts';
import type { FailoverComponent, FailoverGroupSpec } from '../../catalog/kinds/failover-group.ts';
import { CatalystError, messageOf } from '../../errors.ts';
import type { CallContext } from '../../integrations/contract.ts';
import type { KubernetesApi } from '../../integrations/kubernetes/client.ts';
import type { PrometheusClient } from '../../integrations/prometheus/client.ts';
import type { Json } from '../lease.ts';
import { createCloudNativePg } from './cloudnativepg.ts';
import { createExternalLayer } from './external.ts';
import { createHarbor } from './harbor.ts';
import { createInternalLayer } from './internal.ts';
import type { Component, LagReading, TrafficLayer } from './layer.ts';
import { createOpenSearch } from './opensearch.ts';
import { giteaRefusal, type Signal, signals } from './signals.ts';
import { createMirrorMaker } from './strimzi.ts';
import { createValkey } from './valkey.ts';
import { createClickHouse, createMinio, createNeo4j } from './writable-components.ts';

export interface LayerPorts {
  /** Throws NotConfigured where no cluster is configured. */
  kubernetes(): KubernetesApi;
  /** Undefined where none is configured: every lag that needs it is then unknown. */
  prometheus: PrometheusClient | undefined;
  /** Password of a component's server, by the component's name. */
  password(component: string): (() => Promise<string>) | undefined;
}

export interface GroupPlace {
  group: string;
  region: string;
  peer: string;
  /** F, ms. */
  fenceBudgetMs: number;
  /** What a step of a planned switchover is sure of, ms: a renewal is at most R old, and the step ends with L_soft. */
  stepMs: number;
}

/** Longest time that may be declared as acceptable loss, seconds: a day; more is a backup, not a replica. */
const longestRpoSeconds = 86_400;

/** Everything that is wrong with the components, by their index. */
export function componentProblems(spec: FailoverGroupSpec): { index: number; sentence: string }[] {
  const problems: { index: number; sentence: string }[] = [];
  const seen = new Set<string>();
  for (const [index, component] of (spec.components ?? []).entries()) {
    const say = (sentence: string) => problems.push({ index, sentence });
    const { name, adapter, cluster, address, rpo } = component;
    if (seen.has(name)) say(`The component ${name} is there twice.`);
    seen.add(name);
    if (adapter === 'Gitea') say(giteaRefusal);
    if (['CloudNativePG', 'FerretDB', 'Strimzi'].includes(adapter) && cluster === undefined)
      say(`${name} (${adapter}) needs "cluster", the namespace and name of its custom resource.`);
    if (adapter === 'Valkey')
      for (const region of spec.regions)
        if (!/^.+:\d{1,5}$/.test(address?.[region] ?? ''))
          say(`${name} (Valkey) needs "address.${region}" as HOST:PORT.`);
    for (const sentence of apiProblems(component, spec.regions)) say(sentence);
    const ms = rpo === undefined ? 0 : parseDuration(rpo);
    if (ms === undefined || ms > longestRpoSeconds * 1000)
      say(`${name}: rpo ${rpo} is not a duration of at most a day.`);
  }
  return problems;
}

/** Adapters that are asked by an HTTP API. */
const withApi: ReadonlySet<string> = new Set(['ClickHouse', 'OpenSearch', 'Neo4j', 'MinIO', 'Harbor']);

function apiProblems({ name, adapter, api, leaderAlias }: FailoverComponent, regions: readonly string[]): string[] {
  const problems: string[] = [];
  if (leaderAlias !== undefined && adapter !== 'OpenSearch')
    problems.push(`${name} (${adapter}) has no "leaderAlias".`);
  if (api === undefined) return problems;
  if (!withApi.has(adapter)) return [...problems, `${name} (${adapter}) has no "api".`];
  for (const region of regions)
    if (!URL.canParse(api[region] ?? '')) problems.push(`${name} (${adapter}) needs "api.${region}" as a URL.`);
  if (adapter === 'OpenSearch' && leaderAlias === undefined)
    problems.push(`${name} (OpenSearch) needs "leaderAlias", or its rules could not be deleted.`);
  return problems;
}

/** In promotion order. Throws InvalidResource for a component that cannot be one. */
export function createComponents(spec: FailoverGroupSpec, place: GroupPlace, ports: LayerPorts): Component[] {
  const [problem] = componentProblems(spec);
  if (problem) throw new CatalystError('InvalidResource', problem.sentence);
  return (spec.components ?? [])
    .map((component) => createComponent(component, place, ports))
    .sort((a, b) => a.order - b.order);
}

export function createTrafficLayers(spec: FailoverGroupSpec, place: GroupPlace, ports: LayerPorts): TrafficLayer[] {
  return [
    ...(spec.internal ? [createInternalLayer(place.group, spec.internal, ports.kubernetes())] : []),
    ...(spec.external?.httpRoutes?.length ? [createExternalLayer(place.group, spec.external, ports.kubernetes())] : []),
  ];
}

function createComponent(component: FailoverComponent, place: GroupPlace, ports: LayerPorts): Component {
  const { name, adapter, order = 0, rpo } = component;
  if (adapter === 'Gitea') throw new CatalystError('InvalidResource', giteaRefusal);
  const signal = signals[adapter];
  const rpoSeconds = rpo === undefined ? signal.rpoSeconds : (parseDuration(rpo) ?? 0) / 1000;
  const query = component.lag ?? signal.query;
  const believe = component.lag === undefined ? signal.believe : undefined;
  const byApi = createByApi(component, place, ports);
  const effects = createEffects(component, place, ports) ?? { ...gateOnly(name, adapter, signal), ...byApi };
  return {
    ...(byApi === undefined && signal.byHand !== undefined ? { byHand: signal.byHand } : {}),
    lag: (context) => queriedLag(context, component, ports.prometheus, query, believe),
    ...effects,
    name,
    adapter,
    order,
    rpoSeconds,
  };
}

type Effects = Omit<Component, 'name' | 'adapter' | 'order' | 'rpoSeconds' | 'byHand' | 'lag'> &
  Partial<Pick<Component, 'lag'>>;

function createEffects(component: FailoverComponent, place: GroupPlace, ports: LayerPorts): Effects | undefined {
  const { name, adapter, cluster, address = {} } = component;
  switch (adapter) {
    case 'CloudNativePG':
    case 'FerretDB': {
      const { region, peer, fenceBudgetMs, stepMs } = place;
      const where = { name, namespace: cluster?.namespace ?? '', cluster: cluster?.name ?? '' };
      return createCloudNativePg({ ...where, region, peer, fenceBudgetMs, stepMs }, ports.kubernetes());
    }
    case 'Strimzi':
      return createMirrorMaker(
        { namespace: cluster?.namespace ?? '', mirror: cluster?.name ?? '' },
        ports.kubernetes(),
      );
    case 'Valkey':
      return createValkey({
        name,
        address: address[place.region] ?? '',
        peerAddress: address[place.peer] ?? '',
        password: ports.password(name),
      });
    default:
      return undefined;
  }
}

function createByApi(
  { name, adapter, api, leaderAlias = '' }: FailoverComponent,
  place: GroupPlace,
  ports: LayerPorts,
) {
  const url = api?.[place.region];
  if (url === undefined) return undefined;
  const options = { name, url, secret: ports.password(name) };
  switch (adapter) {
    case 'ClickHouse':
      return createClickHouse(options);
    case 'OpenSearch':
      return createOpenSearch({ ...options, leaderAlias });
    case 'Neo4j':
      return createNeo4j(options);
    case 'MinIO':
      return createMinio(options);
    case 'Harbor':
      return createHarbor(options);
    default:
      return undefined;
  }
}

/** Fenced by the gate alone: there is nothing in it that could refuse writes and go on replicating. */
function gateOnly(name: string, adapter: string, signal: Signal): Effects {
  const said = async () => ({ sentence: `${name} (${adapter}): ${signal.note}.` });
  return {
    position: async () => null,
    fence: said,
    demote: said,
    promote: said,
    verify: said,
    divergence: async () => `${name} (${adapter}): what the old region took last may be missing here; ${signal.note}.`,
    checks: async () => [],
  };
}

/** The lag as the standby's own Prometheus tells it; absent is unknown, and so is what must not be believed. */
async function queriedLag(
  context: CallContext,
  component: FailoverComponent,
  prometheus: PrometheusClient | undefined,
  query: string | undefined,
  believe: string | undefined,
): Promise<LagReading> {
  const { name } = component;
  const unknown = (sentence: string): LagReading => ({ seconds: undefined, sentence: `${name}: ${sentence}.` });
  if (query === undefined) return unknown('it has no signal');
  if (prometheus === undefined) return unknown('no Prometheus is configured to ask for its lag');
  try {
    if (believe !== undefined) {
      const trusted = await one(context, prometheus, selected(believe, component));
      if (trusted !== 1) return unknown(`its signal is not to be believed (${selected(believe, component)} is not 1)`);
    }
    const value = await one(context, prometheus, selected(query, component));
    if (value === undefined || value < 0) return unknown('its signal is absent');
    return { seconds: value, sentence: `${name} is ${value} s behind.` };
  } catch (error) {
    return unknown(messageOf(error));
  }
}

/** The largest sample, or undefined without one. */
async function one(context: CallContext, prometheus: PrometheusClient, query: string): Promise<number | undefined> {
  const values = (await prometheus.query(context, query)).map(({ value }) => Number(value));
  return values.length === 0 || values.some(Number.isNaN) ? undefined : Math.max(...values);
}

function selected(query: string, { cluster }: FailoverComponent): string {
  const matchers = cluster === undefined ? '' : `{namespace="${cluster.namespace}",cluster="${cluster.name}"}`;
  return query.replaceAll('{selector}', matchers);
}

/** What the active tells with each renewal: the positions of its components, by name. */
export async function positionsOf(
  context: CallContext,
  components: readonly Component[],
): Promise<{ [name: string]: Json }> {
  const positions = await Promise.all(
    components.map(async (component) => [component.name, await component.position(context).catch(() => null)] as const),
  );
  return Object.fromEntries(positions);
}
