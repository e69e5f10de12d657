/**
 * What the Prometheus and Alertmanager integrations promise, against endpoints where one alert fires already: a fake, the
 * sandbox or real servers. `alertName` must have exactly one firing instance that Alertmanager holds.
 */
import assert from 'node:assert/strict';
import { systemClock } from '../../src/clock.ts';
import { createAlertmanager } from '../../src/integrations/alertmanager/index.ts';
import type { AlertQuestion, Integration } from '../../src/integrations/contract.ts';
import { createPrometheus } from '../../src/integrations/prometheus/index.ts';
import { createSecrets } from '../../src/integrations/secrets.ts';
import { act, contextFor, readFact } from './support.ts';

export interface MonitoringEndpoint {
  prometheusUrl: string;
  alertmanagerUrl: string;
  alertName: string;
}

interface Scene {
  prometheus: Integration;
  alertmanager: Integration;
  question: AlertQuestion;
  key: string;
}

const context = (key: string) => contextFor(key, systemClock);

/** Asks until the answer is as it should be: a silence takes effect with Alertmanager's next look. */
async function becomes(scene: Scene, wanted: string): Promise<void> {
  const limit = AbortSignal.timeout(10_000);
  for (;;) {
    const answer = await scene.alertmanager.oracle?.confirmFiring(context(scene.key), scene.question);
    if (answer?.answer === wanted) return;
    await systemClock.sleep(100, limit);
  }
}

const checks: Record<string, (scene: Scene) => Promise<void>> = {
  async 'numbers come of expressions that give one sample'({ prometheus, key }) {
    const read = (name: string, ...args: (string | number)[]) => readFact(prometheus, name, args, context(key));
    assert.equal(await read('prometheus.query', 'vector(0.25)'), 0.25);
    assert.equal(await read('prometheus.count', 'no_such_metric_at_all'), 0);
    assert.equal(await read('prometheus.queryOr', 'no_such_metric_at_all', 5), 5);
    await assert.rejects(read('prometheus.query', 'no_such_metric_at_all'), { code: 'NotFound' });
    await assert.rejects(read('prometheus.query', 'sum by ('), { code: 'UpstreamRefused' });
    assert.equal(await read('prometheus.reachable'), true);
  },
  async 'a firing alert is confirmed by its own expression, and by Alertmanager'({
    prometheus,
    alertmanager,
    question,
    key,
  }) {
    assert.equal((await prometheus.oracle?.confirmFiring(context(key), question))?.answer, 'firing');
    assert.equal((await alertmanager.oracle?.confirmFiring(context(key), question))?.answer, 'firing');
    assert.equal(await readFact(alertmanager, 'alertmanager.firing', [question.fingerprint], context(key)), true);
    const healed = {
      ...question,
      generatorUrl: question.generatorUrl.replace(/g0\.expr=[^&]*/, 'g0.expr=vector(0)+%3E+1'),
      labels: { ...question.labels, alertname: 'NoSuchAlert' },
    };
    assert.equal((await prometheus.oracle?.confirmFiring(context(key), healed))?.answer, 'notFiring');
  },
  async 'a silence is made once, shows, and is taken back'(scene) {
    const { alertmanager, question, key } = scene;
    const input = { matchers: { alertname: question.labels.alertname ?? '' }, for: '10m' };
    const { action, before, outcome } = await act(alertmanager, 'alertmanager silence', input, context(key));
    assert.deepEqual((await action.execute(context(key), input, before)).result, outcome.result);
    await becomes(scene, 'silenced');
    assert.equal((await action.happened(context(key), input, before)).answer, 'yes');
    const undo = action.undo?.(input, before, outcome.result);
    assert.ok(undo);
    const undone = await act(alertmanager, undo.action, undo.input, context(key));
    await undone.action.execute(context(key), undo.input, undone.before);
    await becomes(scene, 'firing');
  },
};

/** The alert as Alertmanager holds it, turned into the question the engine asks. */
async function questionOf({ alertmanagerUrl, alertName }: MonitoringEndpoint): Promise<AlertQuestion> {
  const answer = await fetch(
    `${alertmanagerUrl}/api/v2/alerts?filter=${encodeURIComponent(`alertname="${alertName}"`)}`,
  );
  const alerts = (await answer.json()) as {
    fingerprint: string;
    labels: Record<string, string>;
    generatorURL: string;
    startsAt: string;
  }[];
  const [alert] = alerts;
  assert.ok(
    alert !== undefined && alerts.length === 1,
    `Alertmanager holds ${alerts.length} alerts called ${alertName}, not one`,
  );
  return {
    fingerprint: alert.fingerprint,
    labels: alert.labels,
    generatorUrl: alert.generatorURL,
    startsAt: Date.parse(alert.startsAt),
  };
}

/** The checks, each ready to run by itself, one after the other. */
export function monitoringConformance(
  salt: string,
): { name: string; run: (endpoint: MonitoringEndpoint) => Promise<void> }[] {
  return Object.entries(checks).map(([name, check], index) => ({
    name,
    async run(endpoint) {
      const secrets = createSecrets({});
      const prometheus = createPrometheus({ url: endpoint.prometheusUrl }, { secrets });
      const alertmanager = createAlertmanager({ url: endpoint.alertmanagerUrl }, { secrets });
      try {
        await check({
          prometheus,
          alertmanager,
          question: await questionOf(endpoint),
          key: `${salt}/monitoring/${index}`,
        });
      } finally {
        await prometheus.stop?.();
        await alertmanager.stop?.();
      }
    },
  }));
}
