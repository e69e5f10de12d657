import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { startSandbox } from '../../sandbox/start.ts';
import { VirtualClock } from '../clock.ts';
import { loadSloDocuments } from '../slo/documents.ts';
import { handbookDirectory } from './document-files.ts';
import { usualSeries, watchObjectives } from './sandbox-objectives.ts';

const slos = loadSloDocuments(
  ['exporters', 'slos'].flatMap((folder) =>
    readdirSync(join(handbookDirectory, folder)).map((file) => ({
      origin: { source: 'handbook', file },
      text: readFileSync(join(handbookDirectory, folder, file)),
    })),
  ),
).slos;

test('every objective of the handbook is measured from the start, and none is violated; only our own are not made up', async () => {
  const sandbox = await startSandbox({ clock: new VirtualClock() });
  try {
    await watchObjectives(sandbox.prometheus);
    const states = slos.map(({ name, spec, budget }) => {
      const ratio = `slo:error_ratio:5m{slo="${name}"}`;
      const isMeasured = sandbox.prometheus.knows(ratio);
      const isViolated = sandbox.prometheus.knows(`${ratio} > ${Number(budget.digits) / 10 ** budget.scale}`);
      return [name, isMeasured, isViolated, spec.service];
    });
    assert.ok(states.length > 20);
    for (const [name, isMeasured, isViolated, service] of states)
      assert.deepEqual([name, isMeasured, isViolated], [name, service !== 'catalyst-sre', false]);
  } finally {
    await sandbox.stop();
  }
});

test('the usual series of a service are its quiet ones, with a little of what is wrong', () => {
  const named = (name: string) => usualSeries(slos.find((slo) => slo.name === name) ?? assert.fail(name));
  assert.deepEqual(named('kafka-produce-latency'), [
    {
      labels: {
        __name__: 'kafka_network_requestmetrics_totaltimems',
        namespace: 'fabric',
        pod: 'kafka-0',
        request: 'Produce',
        quantile: '0.95',
      },
      value: 10,
    },
  ]);
  const [delivered, failed] = named('email-delivery').map((one) => ('perSecond' in one ? one.perSecond : Number.NaN));
  assert.ok(delivered !== undefined && delivered > 0.99 && delivered < 1, `${delivered}`);
  assert.ok(failed !== undefined && failed > 0 && failed / delivered < 0.005, `${failed}`);
});
