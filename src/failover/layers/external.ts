/**
 * External traffic (handbook §2.4): Gateway API, k8gb and PowerDNS. None of them is told who is active. They ask the gate,
 * which is live: k8gb counts a host as healthy only while every Service of its HTTPRoute has a ready endpoint, so a rule
 * with the gate's Service makes the gate part of that answer.
 */
import type { FailoverGroupSpec } from '../../catalog/kinds/failover-group.ts';
import { messageOf } from '../../errors.ts';
import type { CallContext, Json } from '../../integrations/contract.ts';
import { isObject } from '../../integrations/define.ts';
import type { KubernetesApi } from '../../integrations/kubernetes/client.ts';
import type { KubernetesObject } from '../../integrations/kubernetes/objects.ts';
import { patchUnderEpoch } from './epoch-write.ts';
import type { Authority, CheckResult, StepOutcome, TrafficLayer } from './layer.ts';

/** The path the gate is published under; a host that answers 200 there is in the active region. */
export const gatePath = '/.well-known/catalyst-gate';

type External = NonNullable<FailoverGroupSpec['external']>;
type GateService = NonNullable<External['gateService']>;
interface Named {
  namespace: string;
  name: string;
}

const routeOf = ({ namespace, name }: Named) => ({
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind: 'HTTPRoute',
  namespace,
  name,
});

/** The rule that makes the gate part of a route's health. It rewrites the path to the one the gate answers. */
export function gateRule(group: string, gate: GateService, routeNamespace: string): Json {
  return {
    matches: [{ path: { type: 'Exact', value: gatePath } }],
    filters: [
      { type: 'URLRewrite', urlRewrite: { path: { type: 'ReplaceFullPath', replaceFullPath: `/gate/${group}` } } },
    ],
    backendRefs: [
      {
        name: gate.name,
        port: gate.port,
        // The other namespace needs a ReferenceGrant.
        ...(gate.namespace === routeNamespace ? {} : { namespace: gate.namespace }),
      },
    ],
  };
}

/** Whether a route has the rule, and with this backend. */
export function hasGateRule(route: KubernetesObject, gate: GateService): boolean {
  return rulesOf(route).some(
    (rule) =>
      matchesGate(rule) &&
      Array.isArray(rule.backendRefs) &&
      rule.backendRefs.some((backend) => isObject(backend) && backend.name === gate.name && backend.port === gate.port),
  );
}

function rulesOf(route: KubernetesObject): Record<string, unknown>[] {
  const rules = route.spec?.rules;
  return Array.isArray(rules) ? rules.filter(isObject) : [];
}

function matchesGate(rule: Record<string, unknown>): boolean {
  const matches = Array.isArray(rule.matches) ? rule.matches.filter(isObject) : [];
  return matches.some((match) => isObject(match.path) && match.path.value === gatePath);
}

export function createExternalLayer(group: string, external: External, api: KubernetesApi): TrafficLayer {
  const { httpRoutes = [], gateService } = external;
  /** The same in both regions and for both states: the rule is wiring, the gate behind it decides. */
  const wire = async (context: CallContext, authority: Authority): Promise<StepOutcome> => {
    if (gateService === undefined) return { sentence: 'External traffic follows the gate; there is no route to wire.' };
    const failures: string[] = [];
    for (const route of httpRoutes) {
      await patchUnderEpoch(api, context, authority, routeOf(route), (object) => {
        if (hasGateRule(object, gateService)) return undefined;
        const others = rulesOf(object).filter((rule) => !matchesGate(rule)) as Json[];
        return { spec: { rules: [...others, gateRule(group, gateService, route.namespace)] } };
      }).catch((error: unknown) => failures.push(`${route.namespace}/${route.name}: ${messageOf(error)}`));
    }
    if (failures.length > 0) throw new Error(`Not every route asks the gate: ${failures.join('; ')}.`);
    return { sentence: `${httpRoutes.length} routes ask the gate.` };
  };
  return {
    name: 'external',
    open: wire,
    close: wire,
    checks: async (context) => {
      const results: CheckResult[] = [];
      for (const route of httpRoutes) results.push(await checkRoute(api, context, route, gateService));
      if (external.hosts?.length && httpRoutes.length === 0 && gateService === undefined)
        results.push({
          check: 'external-gate',
          verdict: 'failed',
          sentence: 'Hosts are named, but neither a route nor a gate Service: nothing publishes them by the gate.',
        });
      return results;
    },
  };
}

async function checkRoute(
  api: KubernetesApi,
  context: CallContext,
  route: Named,
  gate: GateService | undefined,
): Promise<CheckResult> {
  const check = 'external-gate';
  const name = `HTTPRoute ${route.namespace}/${route.name}`;
  const object = await api.find(context, routeOf(route)).catch((error: unknown) => messageOf(error));
  if (typeof object === 'string') return { check, verdict: 'unknown', sentence: `${name}: ${object}.` };
  if (object === undefined) return { check, verdict: 'failed', sentence: `${name} does not exist in this region.` };
  if (gate === undefined)
    return { check, verdict: 'failed', sentence: `${name} has no gate: set external.gateService.` };
  if (!hasGateRule(object, gate)) return { check, verdict: 'failed', sentence: `${name} lacks the rule ${gatePath}.` };
  return serviceHealthPolicy(api, context, route, name);
}

/** Where k8gb is installed: with its default policy Any a host would stay published with the gate shut. */
async function serviceHealthPolicy(
  api: KubernetesApi,
  context: CallContext,
  route: Named,
  name: string,
): Promise<CheckResult> {
  const check = 'external-gate';
  const passed: CheckResult = { check, verdict: 'passed', sentence: `${name} asks the gate.` };
  const apiVersion = 'k8gb.io/v1beta1';
  try {
    if (!(await api.serves(context, apiVersion))) return passed;
    const place = await api.place(context, 'Gslb', apiVersion);
    const { items } = await api.list<KubernetesObject>(context, place, route.namespace);
    const of = items.filter((gslb) => isObject(gslb.spec?.resourceRef) && gslb.spec.resourceRef.name === route.name);
    for (const gslb of of) {
      const strategy = isObject(gslb.spec?.strategy) ? gslb.spec.strategy : {};
      const failed = (sentence: string): CheckResult => ({ check, verdict: 'failed', sentence });
      if (gslb.spec?.serviceHealthPolicy !== 'All')
        return failed(`Gslb ${gslb.metadata.name} needs serviceHealthPolicy: All, or the gate counts for nothing.`);
      if (strategy.type === 'failover')
        return failed(
          `Gslb ${gslb.metadata.name} has the strategy failover, which fails back by itself: use roundRobin.`,
        );
      if (typeof strategy.dnsTtlSeconds === 'number' && strategy.dnsTtlSeconds > 30)
        return failed(`Gslb ${gslb.metadata.name} has a DNS TTL of ${strategy.dnsTtlSeconds} s; at most 30.`);
    }
    return passed;
  } catch (error) {
    return { check, verdict: 'unknown', sentence: `${name}: ${messageOf(error)}.` };
  }
}
