/** How objectives stand, from the generated rules in a real Prometheus that knows the last day. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { fastClock } from '../../test/integrations/support.ts';
import { privateFile } from '../../test/support/served.ts';
import { temporaryDirectory, waitUntil } from '../../testbed/process.ts';
import { findPrometheus, startPrometheus } from '../../testbed/prometheus.ts';
import { describeReal } from '../../testbed/real.ts';
import type { Kind, Resource } from '../catalog/resource.ts';
import { createPrometheus } from '../integrations/prometheus/index.ts';
import { createSecrets } from '../integrations/secrets.ts';
import { prometheusFiles } from '../slo/prometheus-files.ts';
import { ruleUnits } from '../slo/rule-unit.ts';
import { lintWith, sourceOf } from '../slo/slo-fixture.ts';
import { sloModel } from './slo-live.ts';

const minute = 60_000;

/** Share of bad events by how many minutes ago; ten events a second, a budget of one in a thousand. */
const courses: Readonly<Record<string, (ago: number) => number>> = {
  steady: () => 0.0001,
  burning: (ago) => (ago <= 65 ? 0.02 : 0),
  spent: () => 0.005,
};

const document = (name: string) => `
apiVersion: catalyst.openova.io/v1alpha1
kind: ServiceLevelObjective
metadata: { name: ${name} }
spec:
  title: ${name}
  service: shop
  objective: 99.9%
  sli: { ratio: { bad: 'errors_total{app="${name}"}', total: 'requests_total{app="${name}"}' } }
  burnRate: { notifyOnly: People look. }
`;

/** The base series of the last day and the counters of the last ten minutes, a sample a minute, in OpenMetrics. */
function history(now: number): string {
  const lines: string[] = [];
  for (const series of ['bad', 'total']) {
    lines.push(`# TYPE slo:${series}:5m gauge`);
    for (const [slo, course] of Object.entries(courses))
      for (let ago = 24 * 60; ago >= 0; ago -= 1) {
        const value = series === 'total' ? 10 : 10 * course(ago);
        lines.push(`slo:${series}:5m{slo="${slo}",slo_service="shop"} ${value} ${(now - ago * minute) / 1000}`);
      }
  }
  for (const counter of ['errors', 'requests']) {
    lines.push(`# TYPE ${counter} counter`);
    for (const [app, course] of Object.entries(courses))
      for (let ago = 10; ago >= 0; ago -= 1) {
        const value = 600 * (10 - ago) * (counter === 'errors' ? course(ago) : 1);
        lines.push(`${counter}_total{app="${app}"} ${value} ${(now - ago * minute) / 1000}`);
      }
  }
  return `${lines.join('\n')}\n# EOF\n`;
}

describeReal('how objectives stand, from a real Prometheus', findPrometheus, () => {
  it('is OK, Burning or Exhausted as the last day went, with the numbers of it', async (context) => {
    const documents = lintWith(Object.keys(courses).map((name) => sourceOf(`${name}.yaml`, document(name))));
    const directory = temporaryDirectory('slo-live');
    context.after(directory.remove);
    const ruleFiles = prometheusFiles(ruleUnits(documents))
      .filter(({ path }) => path.startsWith('prometheus/rules/shop/'))
      .map(({ text }, at) =>
        privateFile(directory.path, `${at}.yml`, text.replaceAll(/interval: \d+[sm]/g, 'interval: 1s')),
      );
    assert.equal(ruleFiles.length, 3);
    const server = await startPrometheus({ ruleFiles, openMetrics: history(Date.now()) });
    context.after(server.stop);
    const clock = fastClock(1, Date.now());
    const prometheus = createPrometheus({ url: server.url }, { secrets: createSecrets({}) });
    context.after(() => prometheus.stop?.());
    const all = documents.slos.map(({ resource }) => resource as Resource);
    const read = async () => {
      const model = sloModel({
        catalog: {
          revision: 1,
          resources: <R extends Resource>({ kind }: Kind) =>
            all.filter((one) => one.kind === kind && one.metadata.name in courses) as R[],
        },
        prometheus,
        clock,
        organizationOf: () => undefined,
      });
      return (await model.list({ limit: 10, after: undefined, organization: undefined }, {})).items;
    };
    let found: Awaited<ReturnType<typeof read>> = [];
    await waitUntil('the budgets to be recorded', 60_000, async () => {
      found = await read();
      const isWhole = found.every(({ state, burnRates }) => state !== 'NoData' && burnRates.length === 8);
      return isWhole || Promise.reject(new Error(JSON.stringify(found)));
    });
    assert.deepEqual(
      found.map(({ name, state }) => [name, state]),
      [
        ['burning', 'Burning'],
        ['spent', 'Exhausted'],
        ['steady', 'OK'],
      ],
    );
    const [burning, spent, steady] = found;
    const near = (value: number | undefined, expected: number, by: number) =>
      assert.ok(value !== undefined && Math.abs(value - expected) <= by, `${value} is not ${expected}`);
    near(steady?.budgetLeft, 0.9, 0.001);
    near(steady?.sli, 0.9999, 1e-6);
    near(spent?.budgetLeft, -4, 0.01);
    // An hour and five minutes of 24 hours at twenty times the budget; a step of five minutes on either side.
    near(burning?.budgetLeft, 1 - (65 / 1440) * 20, 0.08);
    near(burning?.burnRates.find(({ window }) => window === '1h')?.rate, 20, 0.5);
  });
});
