import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, describe, it } from 'node:test';
import { findPowerDns, startPowerDns } from '../../../testbed/powerdns.ts';
import { freePort } from '../../../testbed/process.ts';
import { describeReal } from '../../../testbed/real.ts';
import { systemClock } from '../../clock.ts';
import { powerDnsLuaRecord } from './dns-records.ts';

const addresses = { a: ['127.0.0.2'], b: ['127.0.0.3'] };

describe('the PowerDNS record', () => {
  it('refuses what would not be safe or not be valid', () => {
    const bad: [object, RegExp][] = [
      [{ host: 'Orders"' }, /not a host name/],
      [{ addresses: { a: ['127.0.0.2'] } }, /two regions/],
      [{ addresses: { a: ['127.0.0.2'], b: [] } }, /no address/],
      [{ addresses: { a: ['x'], b: ['127.0.0.3'] } }, /not an IPv4/],
      [{ addresses: { a: ['127.0.0.2'], b: ['127.0.0.2'] } }, /given twice/],
    ];
    for (const [change, sentence] of bad)
      assert.throws(() => powerDnsLuaRecord({ host: 'orders.test', addresses, ...change }), sentence);
  });
});

describeReal('the record on a real PowerDNS', findPowerDns, () => {
  it('gives the region whose gate is open, and nothing when none is', async () => {
    const port = await freePort();
    let open: string | undefined;
    for (const address of ['127.0.0.2', '127.0.0.3']) {
      const gate = createServer((_request, response) => response.writeHead(open === address ? 200 : 503).end());
      await new Promise<void>((resolve) => gate.listen(port, address, resolve));
      after(() => gate.close());
    }
    const line = powerDnsLuaRecord({ host: 'orders.g.test', addresses, scheme: 'http', port });
    const server = await startPowerDns('g.test', 'orders', line.slice(line.indexOf('A "')));
    after(server.stop);
    const settles = async (wanted: string[]) => {
      const limit = performance.now() + 60_000;
      for (let same = 0; same < 5; ) {
        const got = await server.resolve('orders.g.test');
        // Whatever it is on its way to, never both, and never the one that is shut for good.
        assert.ok(got.length <= 1, `it gave ${got.join(' and ')}`);
        same = got.join() === wanted.join() ? same + 1 : 0;
        assert.ok(
          performance.now() < limit,
          `it did not come to ${wanted.join() || 'nothing'}, but gave ${got.join()}`,
        );
        await systemClock.sleep(100);
      }
    };
    await settles([]);
    open = '127.0.0.2';
    await settles(['127.0.0.2']);
    open = undefined;
    await settles([]);
    open = '127.0.0.3';
    await settles(['127.0.0.3']);
  });
});
