import assert from 'node:assert/strict';
import { Resolver } from 'node:dns/promises';
import { test } from 'node:test';
import { findKnot, startKnot } from './knot.ts';
import { describeReal } from './real.ts';
import { findUnbound, startUnbound } from './unbound.ts';

function resolverAt(port: number): Resolver {
  const resolver = new Resolver({ timeout: 2000, tries: 3 });
  resolver.setServers([`127.0.0.1:${port}`]);
  return resolver;
}

describeReal('real Knot DNS behind real Unbound', [findKnot, findUnbound], () => {
  test('a zone is served, and found through the resolver', async () => {
    const knot = await startKnot();
    try {
      assert.deepEqual(await resolverAt(knot.port).resolve4(`ns.${knot.zone}`), ['127.0.0.1']);
      const unbound = await startUnbound({
        stubs: [{ zone: knot.zone, port: knot.port }],
        localData: ['here.example. IN A 192.0.2.7'],
      });
      try {
        assert.deepEqual(await resolverAt(unbound.port).resolve4(`ns.${knot.zone}`), ['127.0.0.1']);
        assert.deepEqual(await resolverAt(unbound.port).resolve4('here.example'), ['192.0.2.7']);
      } finally {
        await unbound.stop();
      }
    } finally {
      await knot.stop();
    }
    await assert.rejects(resolverAt(knot.port).resolve4(`ns.${knot.zone}`));
  });
});
