import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemClock } from '../clock.ts';
import type { ProbeConfig, ProbeTarget } from './probe-config.ts';
import { createProber } from './prober.ts';

const target = (name: string): ProbeTarget => ({
  name,
  job: 'j',
  labels: {},
  dns: { name, type: 'A', expect: [] },
});
const config = (...names: string[]): ProbeConfig => ({
  interval: '10s',
  timeout: '5s',
  concurrency: 2,
  targets: names.map(target),
});

describe('the prober', () => {
  it('forgets what is older than three intervals, so that absent() means something', async () => {
    let now = 0;
    const clock = { ...systemClock, now: () => now };
    const prober = createProber(config('a'), { clock, ms: () => 10_000, probe: async () => ({ success: true }) });
    await prober.once(new AbortController().signal);
    now = 30_000;
    assert.equal(prober.results().length, 1);
    now = 30_001;
    assert.equal(prober.results().length, 0);
  });

  it('gives a slow target its limit of time, and lets the others go on meanwhile', async () => {
    const ended: string[] = [];
    const prober = createProber(config('slow', 'a', 'b', 'c'), {
      clock: systemClock,
      ms: () => 200,
      probe: ({ name }, signal) =>
        name === 'slow'
          ? new Promise((resolve) => signal.addEventListener('abort', () => resolve({ success: false })))
          : Promise.resolve({ success: true }),
      onResult: ({ target: { name } }) => ended.push(name),
    });
    const results = await prober.once(new AbortController().signal);
    assert.deepEqual(ended, ['a', 'b', 'c', 'slow']);
    assert.deepEqual(
      results.map(({ finding }) => finding.success),
      [false, true, true, true],
    );
  });

  it('says nothing of a probe that a stop broke off', async () => {
    const stop = new AbortController();
    const prober = createProber(config('a'), {
      clock: systemClock,
      ms: () => 60_000,
      probe: async () => {
        stop.abort();
        return { success: false };
      },
    });
    await prober.run(stop.signal);
    assert.deepEqual(prober.results(), []);
  });
});
