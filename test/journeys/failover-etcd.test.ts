/** Two controllers from their configuration files, and a real etcd as the witness: takeover, and a promise while it is away. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, it } from 'node:test';
import { dump } from 'js-yaml';
import { runFailover } from '../../src/app/failover.ts';
import { apiVersion } from '../../src/catalog/resource.ts';
import { systemClock } from '../../src/clock.ts';
import { layLink } from '../../src/failover/drill/link.ts';
import { scaledTimings } from '../../src/failover/drill/stage.ts';
import { generateKey } from '../../src/failover/keys.ts';
import { verifyRecordFile } from '../../src/failover/record-file.ts';
import { findEtcd, startEtcd } from '../../testbed/etcd.ts';
import { freePort } from '../../testbed/process.ts';
import { describeReal } from '../../testbed/real.ts';

const names = ['hz-fsn-rtz-prod', 'hz-hel-rtz-prod'] as const;
const folder = await mkdtemp(join(tmpdir(), 'failover-etcd-'));
after(() => rm(folder, { recursive: true, force: true }));
const keys = names.map(() => generateKey());

interface Region {
  url: string;
  record: string;
  stop(): Promise<void>;
}

/** A controller in this process, from its file, as the command line starts it. */
async function startRegion(i: 0 | 1, etcdUrl: string, doors: readonly [number, number]): Promise<Region> {
  const here = join(folder, names[i]);
  await mkdir(here, { recursive: true });
  const spec = { mode: 'Automatic', regions: names, witnesses: ['third-site'], timings: scaledTimings(5) };
  const group = { apiVersion, kind: 'FailoverGroup', metadata: { name: 'orders' }, spec };
  const config = {
    region: names[i],
    listen: '127.0.0.1:0',
    dataDir: 'data',
    groups: ['groups.yaml'],
    logLevel: 'silent',
    witnesses: [{ name: 'third-site', etcd: { url: etcdUrl } }],
    privateKeyFile: join(here, 'region.pem'),
    peer: {
      ...{ region: names[1 - i], url: `http://127.0.0.1:${doors[1 - i]}`, listen: `127.0.0.1:${doors[i]}` },
      publicKey: keys[1 - i]?.publicKey,
    },
  };
  await writeFile(join(here, 'groups.yaml'), dump(group));
  await writeFile(join(here, 'region.pem'), keys[i]?.privateKeyPem ?? '', { mode: 0o600 });
  await writeFile(join(here, 'failover.yaml'), dump(config));
  const stopping = new AbortController();
  const listens = Promise.withResolvers<string>();
  const ended = runFailover({ config: 'failover.yaml' }, '0.0.0', {
    out: () => {},
    err: (text) => {
      const url = /listens at (http:\S+)\.$/.exec(text)?.[1];
      if (url !== undefined) listens.resolve(url);
    },
    ...{ terminal: false, environment: {}, home: here, directory: here, clock: systemClock, fetch },
    signal: stopping.signal,
  });
  ended.catch(listens.reject);
  return {
    url: await listens.promise,
    record: join(here, 'data', 'record.jsonl'),
    stop: async () => {
      stopping.abort();
      await ended;
    },
  };
}

/** TTL 6 s: what is waited for takes a few of them, and a busy machine as much again. */
const limitMs = 60_000;

async function until(what: string, look: () => Promise<boolean>): Promise<void> {
  const limit = performance.now() + limitMs;
  while (!(await look())) {
    assert.ok(performance.now() < limit, `not within ${limitMs / 1000} s: ${what}`);
    await systemClock.sleep(50);
  }
}

const gate = async ({ url }: Region) => {
  const answer = await fetch(`${url}/gate/orders`);
  await answer.arrayBuffer();
  return { open: answer.status === 200, epoch: Number(answer.headers.get('x-failover-epoch')) };
};
const reachable = async ({ url }: Region) =>
  /failover_witness_reachable\{group="orders",witness="third-site"\} 1/.test(
    await (await fetch(`${url}/metrics`)).text(),
  );

describeReal('failover with etcd as the witness', findEtcd, () => {
  it('one region is active; it keeps traffic by promise while etcd is away; the other takes over what is given back', async (t) => {
    // The regions first: they give back their lease.
    const cleanUps: (() => Promise<void>)[] = [];
    t.after(async () => {
      for (const cleanUp of cleanUps.reverse()) await cleanUp();
    });
    const etcd = await startEtcd();
    cleanUps.push(() => etcd.stop());
    const link = await layLink({ host: '127.0.0.1', port: Number(new URL(etcd.url).port) });
    cleanUps.push(() => link.close());
    const doors = [await freePort(), await freePort()] as const;
    const one = await startRegion(0, link.url, doors);
    cleanUps.push(() => one.stop());
    const two = await startRegion(1, link.url, doors);
    cleanUps.push(() => two.stop());

    await until('the first region is active', async () => (await gate(one)).open);
    const { epoch } = await gate(one);
    assert.equal((await gate(two)).open, false);
    await until('both reach the witness', async () => (await reachable(one)) && (await reachable(two)));

    link.cut();
    await until('the witness is missed', async () => !(await reachable(one)));
    assert.equal((await gate(one)).open, true, 'the promise of the peer holds');
    assert.equal((await gate(two)).open, false);
    link.mend();

    await until('the witness is back', () => reachable(one));
    await one.stop();
    await until('the second region takes over what was released', async () => (await gate(two)).open);
    assert.ok((await gate(two)).epoch > epoch);
    for (const { record } of [one, two]) assert.equal((await verifyRecordFile(record)).intact, true);
  });
});
