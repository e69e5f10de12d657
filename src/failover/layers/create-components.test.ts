import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { componentAdapters, type FailoverGroupSpec } from '../../catalog/kinds/failover-group.ts';
import { systemClock } from '../../clock.ts';
import type { KubernetesApi } from '../../integrations/kubernetes/client.ts';
import type { PrometheusClient, Sample } from '../../integrations/prometheus/client.ts';
import { groupProblems, settingsOf } from '../group-settings.ts';
import { createComponents } from './create-components.ts';
import { signals } from './signals.ts';

const [a, b] = ['hz-fsn-rtz-prod', 'hz-hel-rtz-prod'];
const context = { clock: systemClock, signal: AbortSignal.timeout(60_000) };
const cluster = { namespace: 'acme', name: 'db' };
const address = { [a]: 'one:6379', [b]: 'two:6379' };

function spec(change: Partial<FailoverGroupSpec> = {}): FailoverGroupSpec {
  return { regions: [a, b], witnesses: ['w'], ...change };
}

const known = { witnesses: ['w', 'x', 'y'], resolvers: ['8.8.8.8'], peer: undefined };
const problems = (change: Partial<FailoverGroupSpec>, more: object = {}) =>
  groupProblems({ name: 'orders', spec: spec(change) }, a, { ...known, ...more });

/** A Prometheus that knows the expressions given and no others. */
function prometheus(answers: (query: string) => number | undefined): PrometheusClient {
  return {
    query: async (_context: unknown, query: string): Promise<Sample[]> => {
      const value = answers(query);
      return value === undefined ? [] : [{ metric: {}, value: String(value) }];
    },
  } as unknown as PrometheusClient;
}

function component(adapter: (typeof componentAdapters)[number], answers: (query: string) => number | undefined) {
  const place = { group: 'orders', region: b, peer: a, fenceBudgetMs: 8000, stepMs: 8000 };
  const ports = {
    kubernetes: () => ({}) as KubernetesApi,
    prometheus: prometheus(answers),
    password: () => undefined,
  };
  const [made] = createComponents(spec({ components: [{ name: 'c', adapter, cluster, address }] }), place, ports);
  assert.ok(made);
  return made;
}

describe('the eleven components of handbook §2.5', () => {
  for (const adapter of componentAdapters.filter((one) => one !== 'Gitea' && one !== 'Valkey')) {
    it(`${adapter}: a lag in seconds, unknown when its signal is absent or not to be believed`, async () => {
      const { believe } = signals[adapter as keyof typeof signals];
      const believed = (query: string, value: number | undefined, trust: number | undefined) =>
        believe !== undefined && query.startsWith(believe.slice(0, 30)) ? trust : value;
      const lag = async (value: number | undefined, trust: number | undefined) =>
        (await component(adapter, (query) => believed(query, value, trust)).lag(context, undefined)).seconds;
      assert.equal(await lag(3, 1), 3);
      assert.equal(await lag(undefined, 1), undefined);
      assert.equal(await lag(Number.NaN, 1), undefined);
      if (believe !== undefined) for (const trust of [0, undefined]) assert.equal(await lag(0, trust), undefined);
    });
  }

  it('Gitea is refused as a target, with the reason of the handbook', () => {
    const [sentence] = problems({ components: [{ name: 'git', adapter: 'Gitea' }] });
    assert.match(sentence ?? '', /§2\.5.*management cluster/);
  });
});

describe('the admission of a group', () => {
  it('takes a plain one, and gives the settings of the protocol', () => {
    assert.deepEqual(problems({}), []);
    const dotted = groupProblems({ name: 'orders.eu', spec: spec({}) }, a, known);
    assert.match(dotted.join(' '), /DNS label/);
    const settings = settingsOf({ name: 'orders', spec: spec() }, b, []);
    assert.deepEqual(
      [settings.peer, settings.initialHolder, settings.mode, settings.dnsFallback, settings.parameters.ttlMs],
      [a, false, 'SemiAutomatic', 'hold', 30_000],
    );
  });

  const refused: [string, Partial<FailoverGroupSpec>, RegExp, object?][] = [
    ['two witnesses', { witnesses: ['w', 'x'] }, /one witness, or three/],
    ['a witness nobody configured', { witnesses: ['z'] }, /no witness z/],
    ['one region twice', { regions: [a, a] }, /must be different/],
    ['a region that is not this one', { regions: ['c', 'd'] }, /this controller runs in hz-fsn/],
    ['a peer that is another', {}, /the peer of this controller is c/, { peer: 'c' }],
    ['a hard limit beyond the TTL', { timings: { hardLimit: '29s' } }, /L_hard\/\(1-eps\) < T\/\(1\+eps\)/],
    ['no time for a retry', { timings: { renew: '15s' } }, /R \+ 3\*retry <= L_soft/],
    ['a fence that does not fit', { timings: { fenceBudget: '9s' } }, /L_soft \+ F <= L_hard/],
    ['a standby in a hurry', { timings: { wait: '20s' } }, /T <= T_wait/],
    ['resolvers that are not there', { dnsFallback: 'veto' }, /needs "resolvers"/, { resolvers: [] }],
    ['the unsafe fallback', { dnsFallback: 'promote' }, /I accept two active regions/],
    ['a database without its resource', { components: [{ name: 'db', adapter: 'CloudNativePG' }] }, /needs "cluster"/],
    ['a cache without its address', { components: [{ name: 'c', adapter: 'Valkey' }] }, /needs "address.hz-fsn/],
  ];
  for (const [what, change, sentence, more] of refused)
    it(`refuses ${what}, with the rule`, () => assert.match(problems(change, more).join('\n'), sentence));
});
