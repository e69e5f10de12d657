/** Handbook §2.4 on real processes: two regions and a witness, SIGKILL and SIGSTOP, seen by an observer from outside. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemClock } from '../../src/clock.ts';
import { failoverDrills, runFailoverDrill } from '../../src/failover/drill/drill.ts';

/** TTL 6 s: short enough for all five side by side within a minute, long enough that 25 busy processes still renew in time. */
const speed = 5;

/** Which regions serve, in order. That nobody serves in between is what each drill waits for itself. */
const [one, two] = ['hz-fsn-rtz-prod', 'hz-hel-rtz-prod'];
const served: Readonly<Record<string, readonly string[]>> = {
  'region-loss': [one, two],
  'witness-loss': [one],
  partition: [one, two],
  'controller-freeze': [one, two],
  'stale-region-reboots': [one, two],
};

describe('failover between two regions', { concurrency: true }, () => {
  for (const { name, description } of failoverDrills())
    it(`${name}: ${description}`, async () => {
      const said: string[] = [];
      const regions: string[] = [];
      const result = await runFailoverDrill(
        name,
        ({ at, kind, sentence }) => {
          said.push(`${at} ${kind} ${sentence}`);
          const region = kind === 'verification' ? /^(\S+) serves\.$/.exec(sentence)?.[1] : undefined;
          // A machine that is too busy may be late with a renewal: a gap is no fault, another region would be.
          if (region !== undefined && region !== regions.at(-1)) regions.push(region);
        },
        AbortSignal.timeout(200_000),
        { clock: systemClock, speed },
      );
      assert.ok(result.passed, `${result.sentence}\n${said.join('\n')}`);
      assert.deepEqual(regions, served[name], said.join('\n'));
    });

  it('names its drills, and refuses others and other speeds', async () => {
    assert.deepEqual(
      failoverDrills()
        .map(({ name }) => name)
        .sort(),
      Object.keys(served).sort(),
    );
    const run = (name: string, factor: number) =>
      runFailoverDrill(name, () => {}, AbortSignal.timeout(1_000), { clock: systemClock, speed: factor });
    await assert.rejects(run('earthquake', 5), /no failover drill earthquake/);
    await assert.rejects(run('region-loss', 100), /--speed is 1/);
  });
});
