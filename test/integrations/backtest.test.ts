/** `runbook backtest` as people use it: files, Git, a real Prometheus; the handbook's own runbooks and some of the day. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { createRegistry } from '../../src/app/registry.ts';
import type { BacktestReport } from '../../src/cli/registry.ts';
import { runCli } from '../../src/cli/run-cli.ts';
import { systemClock } from '../../src/clock.ts';
import { findPrometheus, startPrometheus } from '../../testbed/prometheus.ts';
import { describeReal } from '../../testbed/real.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'backtest-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function cli(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  const said = { out: '', err: '' };
  const options = { environment: { PATH: process.env.PATH }, home: folder, directory: folder, version: '1' };
  const io = {
    ...options,
    out: (text: string) => {
      said.out += `${text}\n`;
    },
    err: (text: string) => {
      said.err += `${text}\n`;
    },
    terminal: false,
    clock: systemClock,
    fetch,
    signal: AbortSignal.timeout(60_000),
  };
  const code = await runCli(['runbook', 'backtest', ...argv], io, createRegistry(options));
  return { code, ...said };
}
const report = async (...argv: string[]) => JSON.parse((await cli(...argv, '-o', 'json')).out) as BacktestReport;

const at = (minute: number) => new Date(Date.UTC(2026, 0, 5, 12, minute)).toISOString();
/** A webhook body; `end` in minutes makes it a resolved one. */
const body = (labels: object, start: number, end?: number) =>
  JSON.stringify({
    version: '4',
    alerts: [
      {
        status: end === undefined ? 'firing' : 'resolved',
        labels,
        startsAt: at(start),
        endsAt: end === undefined ? '0001-01-01T00:00:00Z' : at(end),
      },
    ],
  });

const scaleUp = `apiVersion: catalyst.openova.io/v1alpha1
kind: Runbook
metadata: {name: scale-up}
spec:
  triggers: [{alertName: HighMemory}]
  target: {kind: Deployment, namespace: "\${{ alert.labels.namespace }}", name: "\${{ alert.labels.app }}"}
  steps:
    - run: kubernetes scale Deployment \${{ target.namespace }} \${{ target.name }} --replicas +1 --max 10
    - verify: kubernetes.reachable
      within: 10m
`;
const simple = (more: string) => `apiVersion: catalyst.openova.io/v1alpha1
kind: Runbook
metadata: {name: unseal}
spec:
  triggers: [{alertName: Sealed}]
  steps:
    - run: openbao operator unseal --auto-shamir
    - verify: openbao.status.sealed == false
      within: 30m
${more}`;

async function runbooks(name: string, ...texts: string[]): Promise<string> {
  await mkdir(join(folder, name), { recursive: true });
  for (const [i, text] of texts.entries()) await writeFile(join(folder, name, `${i}.yaml`), text);
  return join(folder, name);
}

describe('runbook backtest', () => {
  test('counts what would have been done, with the engine’s own reasons', async () => {
    const sealed = { alertname: 'Sealed' };
    const history = [
      body(sealed, 0), // acts
      body(sealed, 0), // the same firing again: nothing
      body({ ...sealed, pod: 'b' }, 1), // waits for the first, which ends as its alert does: then it cools down
      body(sealed, 0, 4),
      body({ ...sealed, pod: 'c' }, 2, 3), // only its end was delivered
      body({ alertname: 'Unknown' }, 5), // no runbook
      body(sealed, 20), // a new firing after the cooldown: acts
      body({ ...sealed, pod: 'd' }, 21), // over before its turn comes
      body({ ...sealed, pod: 'd' }, 21, 22),
      body(sealed, 20, 23),
    ];
    await writeFile(join(folder, 'history.jsonl'), history.join('\n'));
    const { firings, sightings } = await report(await runbooks('now', simple('')), '--from', 'history.jsonl');
    assert.equal(sightings, 10);
    assert.deepEqual(
      firings.map(({ outcome, reason, runbook }) => [outcome, reason, runbook]),
      [
        ['WouldAct', 'RunStarted', 'unseal'],
        ['WouldNotAct', 'Cooldown', 'unseal'],
        ['WouldNotAct', 'NoRunbook', undefined],
        ['WouldAct', 'RunStarted', 'unseal'],
        ['WouldNotAct', 'NotFiring', 'unseal'],
      ],
    );
    const { code, out, err } = await cli(join(folder, 'now'), '--from', 'history.jsonl');
    assert.equal(code, 0);
    assert.match(
      out,
      /^5 firings in 10 reports, from 2026-01-05T12:00:00\.000Z to 2026-01-05T12:23:00\.000Z: would have acted 2 times; not acted: /,
    );
    assert.match(out, /^Sealed +unseal +WouldAct +RunStarted +2$/m);
    assert.match(err, /^A run was taken to end when its alert did/m);
  });

  test('a change is shown firing by firing, against a folder and against a revision of Git', async () => {
    await writeFile(
      join(folder, 'history.jsonl'),
      [body({ alertname: 'Sealed' }, 0), body({ alertname: 'Sealed' }, 0, 2), body({ alertname: 'Sealed' }, 4)].join(
        '\n',
      ),
    );
    const before = await runbooks('runbooks', simple(''));
    const git = (...args: string[]) =>
      execFileSync('git', ['-C', folder, '-c', 'user.name=t', '-c', 'user.email=t@example.org', ...args], {
        encoding: 'utf8',
      });
    git('init', '-q', '-b', 'main');
    git('add', 'runbooks');
    git('commit', '-qm', 'before');
    await runbooks('old', simple(''));
    await runbooks('runbooks', simple('  guards: {cooldown: 1m}\n'));
    for (const against of ['old', 'main:runbooks']) {
      const { out } = await cli(before, '--from', 'history.jsonl', '--against', against);
      assert.match(
        out,
        /^1 firings differ:\n2026-01-05T12:04:00\.000Z {2}Sealed \{\}\n {2}- WouldNotAct Cooldown \(unseal\)\n {2}\+ WouldAct RunStarted \(unseal\)$/m,
        against,
      );
    }
    assert.match(
      (await cli(before, '--from', 'history.jsonl', '--against', 'runbooks')).out,
      /would have done the same/,
    );
    const wrong = await cli(before, '--from', 'history.jsonl', '--against', 'nowhere:runbooks');
    assert.equal(wrong.code, 2);
    assert.match(wrong.err, /nowhere:runbooks cannot be read from Git/);
  });

  test('a spent budget blocks every scale-up (handbook §4.3)', async () => {
    await writeFile(
      join(folder, 'history.json'),
      body({ alertname: 'HighMemory', namespace: 'shop', app: 'catalog' }, 0),
    );
    const paths = await runbooks('now', scaleUp);
    const outcome = async (...flags: string[]) => (await report(paths, '--from', 'history.json', ...flags)).firings[0];
    assert.equal((await outcome())?.outcome, 'WouldAct');
    assert.equal((await outcome())?.target, 'Deployment/shop/catalog');
    assert.equal((await outcome('--budget-spent', '0.99'))?.outcome, 'WouldAct');
    assert.equal((await outcome('--budget-spent', '1'))?.reason, 'BudgetExhausted');
  });

  test('wrong usage and wrong input are exit code 2, and say what to do', async () => {
    const paths = await runbooks('now', simple(''));
    assert.match((await cli(paths)).err, /There is no history to replay\.\nGive --from FILE/);
    for (const argv of [[paths], [paths, '--from', 'missing'], [paths, '--from', 'missing', '--budget-spent', 'x']])
      assert.equal((await cli(...argv)).code, 2);
    await writeFile(join(folder, 'history.jsonl'), 'nonsense\n');
    const wrong = await cli(paths, '--from', 'history.jsonl');
    assert.deepEqual([wrong.code, /history\.jsonl:1: It is not JSON\./.test(wrong.err)], [2, true]);
  });
});

describeReal('runbook backtest on a real Prometheus', findPrometheus, () => {
  test('reads what fired from its ALERTS', async () => {
    // Two firings of ten and five minutes within the last two hours, one sample a minute.
    const now = Math.floor(Date.now() / 60_000) * 60;
    const sample = (pod: string, minutesAgo: number) =>
      `ALERTS{alertname="Sealed",alertstate="firing",pod="${pod}"} 1 ${now - minutesAgo * 60}`;
    const minutes = (from: number, to: number) => Array.from({ length: from - to + 1 }, (_, i) => from - i);
    const lines = [...minutes(100, 90).map((m) => sample('a', m)), ...minutes(40, 35).map((m) => sample('a', m))];
    // Prometheus takes a series for alive for five minutes after its last sample; the rules of a real one end it at once.
    const prometheus = await startPrometheus({
      openMetrics: `${lines.join('\n')}\n# EOF\n`,
      args: ['--query.lookback-delta=1m'],
    });
    try {
      const { firings } = await report(
        await runbooks('now', simple('')),
        '--prometheus',
        prometheus.url,
        '--since',
        '2h',
      );
      assert.deepEqual(
        firings.map(({ outcome, labels }) => [outcome, labels]),
        [
          ['WouldAct', { alertname: 'Sealed', pod: 'a' }],
          ['WouldAct', { alertname: 'Sealed', pod: 'a' }],
        ],
      );
      assert.ok(firings.every(({ startsAt, endsAt }) => endsAt !== undefined && endsAt > startsAt));
    } finally {
      await prometheus.stop();
    }
  });
});
