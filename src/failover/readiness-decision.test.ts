import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createState } from './failover-decision.ts';
import { defaultParameters } from './parameters.ts';
import type { FailoverState } from './protocol.ts';
import { delaySentence, handoverDelay, peerReadyCheck } from './readiness-decision.ts';

const base = createState({
  ...{ group: 'orders', region: 'hel', peer: 'fsn', witnesses: ['w'], resolvers: [], components: [] },
  ...{ parameters: defaultParameters, mode: 'SemiAutomatic', dnsFallback: 'hold', initialHolder: false },
});
const delay = (state: Partial<FailoverState>, epoch = 4) => handoverDelay({ ...base, ...state }, 1_000, epoch);

describe('whether a region could take over at once', () => {
  it('it could when nothing binds it', () => {
    assert.equal(delay({}), undefined);
    const fence = { epoch: 3, reason: 'Fenced', pending: {}, confirmed: true } as const;
    assert.equal(delay({ fence }), undefined);
    assert.equal(delay({ promise: { epoch: Number.POSITIVE_INFINITY, until: 1_000 } }), undefined);
  });

  it('a promise for the epoch that is released ends with it; one from before a start does not', () => {
    assert.equal(delay({ promise: { epoch: 4, until: 20_000 } }), undefined);
    assert.equal(delay({ promise: { epoch: 5, until: 20_000 } })?.waitMs, 19_000);
    const started = delay({ promise: { epoch: Number.POSITIVE_INFINITY, until: 13_400.5 } });
    assert.equal(started?.waitMs, 12_401);
    assert.match(started ? delaySentence(started) : '', /hel has just started.* Ask again in 13 s\.$/);
  });

  it('a fence that is not confirmed is waited for, and nobody knows how long', () => {
    const pending = { db: { request: 'r', retryAt: 0 } };
    const fenced = delay({ fence: { epoch: 3, reason: 'BootFence', pending, confirmed: false } });
    assert.deepEqual(fenced, { waitMs: undefined, sentence: 'hel takes nothing over before it is fenced: db.' });
  });

  it('is told before a switchover, and keeps nobody from a takeover', () => {
    assert.deepEqual(peerReadyCheck('hel', 'ready').verdict, 'passed');
    for (const heard of ['silent', { waitMs: 5_000, sentence: 'It waits.' }] as const)
      assert.equal(peerReadyCheck('hel', heard).advice, true);
  });
});
