import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, describe, it } from 'node:test';
import { dump, load } from 'js-yaml';
import { findAlertmanager } from '../../testbed/alertmanager.ts';
import { demand, runProgram, temporaryDirectory } from '../../testbed/process.ts';
import { findPrometheus } from '../../testbed/prometheus.ts';
import { describeReal } from '../../testbed/real.ts';
import { alertmanagerFiles, defaultAlertmanagerOptions } from './alertmanager.ts';
import { prometheusFiles, type RenderedText } from './prometheus-files.ts';
import { ruleUnits } from './rule-unit.ts';
import { lintWith } from './slo-fixture.ts';

const handbook = lintWith();

function written(name: string, files: readonly RenderedText[]): string {
  const folder = temporaryDirectory(name);
  after(() => folder.remove());
  for (const { path, text } of files) {
    mkdirSync(dirname(join(folder.path, path)), { recursive: true });
    writeFileSync(join(folder.path, path), text);
  }
  return folder.path;
}

describeReal('promtool on the generated rules', findPrometheus, () => {
  const files = prometheusFiles(ruleUnits(handbook));
  const paths = (part: string) => files.map(({ path }) => path).filter((path) => path.startsWith(part));

  it('takes every rule file', () => {
    const { promtool } = demand(findPrometheus());
    const folder = written('rules', files);
    runProgram(promtool, ['check', 'rules', ...paths('prometheus/rules/').map((path) => join(folder, path))]);
  });

  for (const service of new Set(files.flatMap(({ path }) => /prometheus\/tests\/([^/]+)/.exec(path)?.[1] ?? [])))
    it(`sees the alerts of ${service} fire, stay silent, recover, and do without data as they should`, () => {
      const { promtool } = demand(findPrometheus());
      const folder = written('tests', files);
      const tests = paths(`prometheus/tests/${service}/`).map((path) => join(folder, path));
      // Its memory is small: collected less often, it takes a fifth less of a processor.
      runProgram('env', ['GOGC=400', promtool, 'test', 'rules', ...tests]);
    });
});

/** The budget of most tools: the mean of the error ratios of all five minutes. */
const meanOfRatios = {
  groups: [
    {
      name: 'mean-of-ratios',
      interval: '1m',
      rules: [
        {
          record: 'mean:error_ratio:5m',
          expr: 'sum(rate(hubble_http_requests_total{destination_workload="console",status=~"5.."}[5m])) / sum(rate(hubble_http_requests_total{destination_workload="console"}[5m]))',
        },
        {
          record: 'mean:error_ratio:30d',
          expr: 'sum_over_time(mean:error_ratio:5m[30d]) / count_over_time(mean:error_ratio:5m[30d])',
        },
      ],
    },
  ],
};

const good = 'hubble_http_requests_total{destination_workload="console",status="200"}';
const bad = 'hubble_http_requests_total{destination_workload="console",status="503"}';
const ours = 'slo:error_ratio:30d{slo="console-availability"}';
const budget = 'slo:error_budget_remaining:ratio{slo="console-availability"}';
const between = (expr: string, low: number, high: number) => `(${expr} > bool ${low}) * (${expr} < bool ${high})`;
const holds = (expr: string, at: string) => ({ expr, eval_time: at, exp_samples: [{ labels: '{}', value: 1 }] });
const overall = (expr: string) => `max(${expr})`;

/** The table of docs/slo.md. */
const cases = [
  {
    name: 'twelve hours at 1000 requests a minute without an error, then twelve at one a minute, all failing',
    interval: '1m',
    input_series: [
      { series: good, values: '0+1000x719 719000x720' },
      { series: bad, values: '0x719 0+1x720' },
    ],
    promql_expr_test: [
      // The truth is 720 of 719,720, 0.1 %: the budget is just gone.
      holds(between(overall(ours), 0.00098, 0.00102), '24h'),
      holds(between(overall(budget), -0.02, 0.02), '24h'),
      holds(between(overall('mean:error_ratio:30d'), 0.49, 0.51), '24h'),
    ],
  },
  {
    name: 'ten minutes without traffic in four hours without an error',
    interval: '1m',
    input_series: [
      { series: good, values: '0+60x119 7140x20 7200+60x100' },
      { series: bad, values: '0x240' },
    ],
    promql_expr_test: [
      { expr: overall(ours), eval_time: '4h', exp_samples: [{ labels: '{}', value: 0 }] },
      { expr: overall(budget), eval_time: '4h', exp_samples: [{ labels: '{}', value: 1 }] },
      // NaN is the only value that differs from itself.
      holds(`max(mean:error_ratio:30d) != bool max(mean:error_ratio:30d)`, '4h'),
    ],
  },
  {
    name: 'no error yet, so that the series of errors was never created',
    interval: '1m',
    input_series: [{ series: good, values: '0+60x240' }],
    promql_expr_test: [
      { expr: overall(ours), eval_time: '4h', exp_samples: [{ labels: '{}', value: 0 }] },
      { expr: 'mean:error_ratio:30d', eval_time: '4h', exp_samples: [] },
    ],
  },
];

describeReal('error budgets that survive quiet nights', findPrometheus, () => {
  for (const one of cases)
    it(one.name, () => {
      const { promtool } = demand(findPrometheus());
      const [rules] = prometheusFiles(ruleUnits(handbook)).filter(({ path }) =>
        path.endsWith('rules/catalyst/slo-console-availability.yaml'),
      );
      const folder = written('budget', [
        { path: 'rules.yaml', text: rules?.text ?? '' },
        { path: 'mean.yaml', text: dump(meanOfRatios) },
        {
          path: 'test.yaml',
          text: dump({ rule_files: ['rules.yaml', 'mean.yaml'], evaluation_interval: '2m', tests: [one] }),
        },
      ]);
      runProgram(promtool, ['test', 'rules', join(folder, 'test.yaml')]);
    });
});

describeReal('an alert on a counter whose series begins with its first event', findPrometheus, () => {
  it('fires, though there is no increase yet, and again at the next event', () => {
    const { promtool } = demand(findPrometheus());
    const [rules] = prometheusFiles(ruleUnits(handbook)).filter(({ path }) =>
      path.endsWith('rules/catalyst-sre/alert-catalyst-sre-run-unknown.yaml'),
    );
    const firing = (at: string, value: number) => ({
      expr: 'count(ALERTS{alertname="CatalystSreRunUnknown",runbook="a"}) or vector(0)',
      eval_time: at,
      exp_samples: [{ labels: '{}', value }],
    });
    const folder = written('first-event', [
      { path: 'rules.yaml', text: rules?.text ?? '' },
      {
        path: 'test.yaml',
        text: dump({
          rule_files: ['rules.yaml'],
          evaluation_interval: '1m',
          tests: [
            {
              interval: '1m',
              input_series: [
                { series: 'catalyst_sre_runs_total{runbook="a",outcome="Unknown"}', values: '_x29 1x29 2x60' },
              ],
              promql_expr_test: [
                firing('28m', 0),
                firing('35m', 1),
                firing('50m', 0),
                firing('65m', 1),
                firing('90m', 0),
              ],
            },
          ],
        }),
      },
    ]);
    runProgram(promtool, ['test', 'rules', join(folder, 'test.yaml')]);
  });
});

describeReal('amtool on the generated configuration', findAlertmanager, () => {
  const outside = { ...defaultAlertmanagerOptions, heartbeatUrl: 'https://heartbeat.example.org/catalyst' };
  const reached: [string, string[]][] = [
    ['catalyst-sre', ['alertname=OpenBaoSealed', 'severity=critical', 'namespace=catalyst-system']],
    ['catalyst-sre', ['alertname=HighMemoryUsage', 'severity=warning', 'namespace=shop']],
    ['ai-oncall,catalyst-sre', ['alertname=VLLMOOMKilled', 'severity=critical', 'namespace=cortex']],
    ['ai-oncall', ['alertname=EmbeddingQueueBacklog', 'severity=warning', 'namespace=cortex']],
    ['ai-oncall', ['alertname=GPUTemperatureHigh', 'severity=warning', 'Hostname=gpu-1']],
    ['heartbeat', ['alertname=Watchdog', 'severity=info']],
  ];

  it('takes it, and routes alerts to those who are to hear of them', () => {
    const { amtool } = demand(findAlertmanager());
    const folder = written('alertmanager', alertmanagerFiles(handbook, outside));
    const file = join(folder, 'alertmanager/alertmanager.yml');
    runProgram(amtool, ['check-config', file]);
    for (const [receivers, labels] of reached)
      runProgram(amtool, [
        ...['config', 'routes', 'test', `--config.file=${file}`, `--verify.receivers=${receivers}`],
        ...labels,
      ]);
  });

  it('takes the variant for Gitea but for the two fields that came later', () => {
    const { amtool } = demand(findAlertmanager());
    const file = join(
      written('alertmanager', alertmanagerFiles(handbook, outside)),
      'alertmanager/alertmanager-gitea.yml',
    );
    const parsed = load(readFileSync(file, 'utf8')) as {
      receivers: { webhook_configs?: Record<string, unknown>[] }[];
    };
    const webhooks = parsed.receivers.flatMap(({ webhook_configs = [] }) => webhook_configs);
    assert.equal(webhooks.length, 3);
    // Debian has Alertmanager 0.25; `timeout` is of 0.28, `payload` of 0.32, and no package of a newer one is to be had.
    for (const webhook of webhooks) {
      assert.equal(webhook.timeout, '10s');
      delete webhook.timeout;
      const { payload } = webhook as { payload?: { ref: string; inputs: Record<string, string> } };
      delete webhook.payload;
      if (payload === undefined) continue;
      // Gitea takes {ref, inputs} with texts, and nothing else.
      assert.deepEqual(Object.keys(payload), ['ref', 'inputs']);
      for (const input of Object.values(payload.inputs)) assert.match(input, /^\{\{ \.[A-Za-z.]+ \}\}$/);
    }
    writeFileSync(file, dump(parsed));
    runProgram(amtool, ['check-config', file]);
    for (const [receivers, labels] of reached)
      runProgram(amtool, [
        ...['config', 'routes', 'test', `--config.file=${file}`, `--verify.receivers=${receivers}`],
        ...labels,
      ]);
  });
});

describe('the files', () => {
  const files = prometheusFiles(ruleUnits(handbook));
  it('have one rule file, one test and one object for each document, and one for each service for Mimir', () => {
    const documents = handbook.slos.length + handbook.alerts.length;
    const count = (folder: string) => files.filter(({ path }) => path.startsWith(folder)).length;
    assert.deepEqual(['prometheus/rules/', 'prometheus/tests/', 'prometheus-operator/', 'mimir/rules/'].map(count), [
      documents,
      documents,
      documents,
      6,
    ]);
    assert.equal(new Set(files.map(({ path }) => path)).size, files.length);
  });
});
