import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { VirtualClock } from '../../src/clock.ts';
import { FAULTS, type FaultName } from '../faults.ts';
import { World } from '../world.ts';
import { evaluate } from './evaluate.ts';
import { Prometheus } from './prometheus.ts';
import type { RecordingRule } from './recording.ts';
import { parseQuery } from './syntax.ts';

/** As `render prometheus` writes them for an objective of this app. */
function rulesOf(app: string): RecordingRule[] {
  const answers = (status: string) => `hubble_http_requests_total{destination_workload="${app}"${status}}`;
  const labels = { slo: app };
  const sums = (name: string, range: string) => `sum_over_time(slo:${name}:5m{slo="${app}"}[${range}])`;
  return [
    { record: 'slo:total:5m', expr: `sum(rate(${answers('')}[5m]))`, labels },
    {
      record: 'slo:bad:5m',
      expr: `sum(rate(${answers(',status=~"5.."')}[5m])) and on () slo:total:5m{slo="${app}"}`,
      labels,
    },
    { record: 'slo:error_ratio:1h', expr: `${sums('bad', '1h')} / ${sums('total', '1h')}`, labels },
    { record: 'slo:error_ratio:30d', expr: `${sums('bad', '30d:5m')} / ${sums('total', '30d:5m')}`, labels },
  ];
}

class Watched {
  readonly clock = new VirtualClock();
  readonly world = new World(this.clock);
  readonly prometheus = new Prometheus(this.world, () => {});

  async live(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 200) {
      await this.clock.advance(200);
      this.world.tick();
      this.prometheus.tick();
    }
  }

  inject(fault: FaultName): void {
    FAULTS[fault].inject(this.world);
  }

  ask(query: string): number | undefined {
    const value = evaluate(parseQuery(query), this.prometheus.database, this.clock.now());
    return value.type === 'vector' ? value.samples[0]?.value : undefined;
  }
}

describe('recording rules', () => {
  it('record what is scraped, the past that requests have included', async () => {
    const watched = new Watched();
    watched.prometheus.load(rulesOf('checkout'));
    await watched.live(400);
    for (const window of ['1h', '30d']) {
      const ratio = watched.ask(`slo:error_ratio:${window}{slo="checkout"}`) ?? 1;
      assert.ok(Math.abs(ratio - 0.002) < 0.0002, `one request in five hundred fails: ${ratio}`);
    }
  });

  it('show what a fault costs, of the app that it breaks and of no other', async () => {
    const watched = new Watched();
    watched.prometheus.load([...rulesOf('checkout'), ...rulesOf('console')]);
    watched.inject('high-error-rate');
    await watched.live(60_000);
    const bad = watched.ask('slo:bad:5m{slo="checkout"} / slo:total:5m{slo="checkout"}') ?? 0;
    // Two answers in five are errors, for a minute of the last five.
    assert.ok(bad > 0.06 && bad < 0.085, `${bad}`);
    assert.ok((watched.ask('slo:error_ratio:1h{slo="checkout"}') ?? 0) > 0.0023);
    assert.ok((watched.ask('slo:error_ratio:1h{slo="console"}') ?? 1) < 0.0004);
  });

  it('end with what they read, and keep nothing of rules that are outside of the subset', async () => {
    const watched = new Watched();
    watched.prometheus.load([
      { record: 'a', expr: 'vault_core_unsealed == 0' },
      { record: 'b', expr: 'mem offset 5m' },
    ]);
    await watched.live(400);
    assert.equal(watched.ask('a'), undefined);
    watched.inject('openbao-sealed');
    await watched.live(16_000);
    assert.equal(watched.ask('a'), 0);
    watched.world.bao.unsealAll();
    await watched.live(16_000);
    assert.equal(watched.ask('a'), undefined);
    assert.equal(watched.ask('b'), undefined);
  });

  it('a projector that lacks a pod delivers late', async () => {
    const watched = new Watched();
    const late =
      '1 - sum(rate(catalyst_projector_sse_delivery_seconds_bucket{le="2"}[30s])) / sum(rate(catalyst_projector_sse_delivery_seconds_count[30s]))';
    await watched.live(31_000);
    assert.ok((watched.ask(late) ?? 1) < 0.02);
    watched.inject('pod-crash-loop');
    await watched.live(31_000);
    assert.ok((watched.ask(late) ?? 0) > 0.3);
  });
});
