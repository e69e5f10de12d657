/** Handbook §2.4 on real processes: two regions and a witness, SIGKILL and SIGSTOP, seen by an observer from outside. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemClock } from '../../src/clock.ts';
import { failoverDrills, runFailoverDrill } from '../../src/failover/drill/drill.ts';

/** As fast as the leases of real processes allow on a busy machine. */
const speed = 7;

describe('failover between two regions', () => {
  // Each of the others passes through one of these: losing a region, and a controller that wakes up too late.
  for (const name of ['stale-region-reboots', 'controller-freeze'])
    it(`${name}: never two active, and the survivor serves`, async () => {
      const said: string[] = [];
      const result = await runFailoverDrill(
        name,
        ({ at, kind, sentence }) => said.push(`${at} ${kind} ${sentence}`),
        AbortSignal.timeout(200_000),
        { clock: systemClock, speed },
      );
      assert.ok(result.passed, `${result.sentence}\n${said.join('\n')}`);
      assert.ok(said.some((line) => line.includes('hz-hel-rtz-prod serves')));
    });

  it('names its drills, and refuses others and other speeds', async () => {
    assert.equal(failoverDrills().length, 5);
    const run = (name: string, factor: number) =>
      runFailoverDrill(name, () => {}, AbortSignal.timeout(1_000), { clock: systemClock, speed: factor });
    await assert.rejects(run('earthquake', 5), /no failover drill earthquake/);
    await assert.rejects(run('region-loss', 100), /--speed is 1/);
  });
});
