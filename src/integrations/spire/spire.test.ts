import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { contextFor, readFact, serve } from '../../../test/integrations/support.ts';
import { createSpire } from './index.ts';

async function healthy(live: number, ready: number): Promise<unknown> {
  await using server = await serve(({ url }) => [
    url.pathname === '/live' ? live : url.pathname === '/ready' ? ready : 404,
    {},
  ]);
  return await readFact(createSpire({ url: server.url }), 'spire.server.healthy');
}

describe('spire', () => {
  it('is healthy when alive and ready', async () => {
    assert.equal(await healthy(200, 200), true);
    assert.equal(await healthy(200, 500), false);
    assert.equal(await healthy(500, 200), false);
  });

  it('is unknown, and not unhealthy, when it does not say', async () => {
    await assert.rejects(healthy(404, 200), { code: 'NotFound' });
    await assert.rejects(healthy(200, 502), { code: 'UpstreamUnavailable' });
    await assert.rejects(readFact(createSpire({ url: 'http://127.0.0.1:1' }), 'spire.server.ready'), {
      code: 'UpstreamUnavailable',
    });
    await assert.rejects(readFact(createSpire(undefined), 'spire.server.live'), { code: 'NotConfigured' });
    assert.equal((await createSpire(undefined).health(contextFor())).healthy, false);
  });
});
