/** The suite on real etcd, PostgreSQL and Kubernetes, and what each of them is asked to be. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { systemClock } from '../../src/clock.ts';
import { createEtcdWitness } from '../../src/failover/witness/etcd.ts';
import { createKubernetesWitness, leaseAnnotation } from '../../src/failover/witness/kubernetes.ts';
import { createPostgresWitness } from '../../src/failover/witness/postgres.ts';
import { createHttpClient } from '../../src/integrations/http-client.ts';
import { type Etcd, findEtcd, startEtcd } from '../../testbed/etcd.ts';
import { findKubernetes, type Kubernetes } from '../../testbed/kubernetes.ts';
import { findPostgres, type Postgres, startPostgres } from '../../testbed/postgres.ts';
import { describeReal, sharedKubernetes, sharedPostgres } from '../../testbed/real.ts';
import { conforms, leaseOf, newGroup, patient } from './suite.ts';

describeReal('witness: etcd', findEtcd, () => {
  let etcd: Etcd;
  before(async () => {
    etcd = await startEtcd();
  });
  after(() => etcd?.stop());
  const open = (name: string, url = etcd.url, login?: { name: string; password: string }) =>
    createEtcdWitness({
      name,
      endpoint: { baseUrl: url },
      prefix: 'catalyst/failover/',
      clock: systemClock,
      ...(login === undefined ? {} : { login: async () => login }),
    });
  conforms('etcd', async () => ({ open, url: etcd.url }), { tellsExpiry: false });

  const admin = (path: string, body: object) =>
    fetch(`${etcd.url}${path}`, { method: 'POST', body: JSON.stringify(body) });
  test('what stands there and is no lease is an error, not an empty register', async () => {
    const group = newGroup();
    const key = Buffer.from(`catalyst/failover/${group}/lease`).toString('base64');
    await admin('/v3/kv/put', { key, value: Buffer.from('{"holder":"?"}').toString('base64') });
    const witness = open('a');
    await assert.rejects(witness.read(group, patient()), /no lease: group is not/);
  });

  test('logs in where etcd asks for it, and again when the token is gone', async () => {
    for (const [path, body] of [
      ['/v3/auth/user/add', { name: 'root', password: 'secret' }],
      ['/v3/auth/role/add', { name: 'root' }],
      ['/v3/auth/user/grant', { user: 'root', role: 'root' }],
      ['/v3/auth/enable', {}],
    ] as const)
      assert.equal((await admin(path, body)).status, 200, path);
    const group = newGroup();
    await assert.rejects(open('nobody').read(group, patient()));
    const witness = open('a', etcd.url, { name: 'root', password: 'secret' });
    const first = leaseOf(group, undefined);
    assert.deepEqual(await witness.compareAndSet(group, undefined, first, patient()), { result: 'applied' });
    assert.deepEqual((await witness.read(group, patient())).lease, first);
    await assert.rejects(open('b', etcd.url, { name: 'root', password: 'wrong' }).read(group, patient()));
  });
});

describeReal('witness: PostgreSQL', findPostgres, () => {
  let postgres: Postgres;
  let url = '';
  before(async () => {
    // One of its own, with fsync: the shared one has it off.
    postgres = await startPostgres();
    url = await postgres.createDatabase();
  });
  after(() => postgres?.stop());
  const open = (name: string, address = url) => createPostgresWitness({ name, url: async () => address });
  conforms('PostgreSQL', async () => ({ open, url }), { tellsExpiry: true });

  test('commits to disk where the database is set not to, and is refused where it cannot', async () => {
    const database = new URL(url).pathname.slice(1);
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query(`ALTER DATABASE ${database} SET synchronous_commit = off`);
    await client.end();
    const group = newGroup();
    const witness = open('a');
    assert.deepEqual(await witness.compareAndSet(group, undefined, leaseOf(group, undefined), patient()), {
      result: 'applied',
    });
    await witness.close();
    const careless = open('b', `${url}?options=-c%20synchronous_commit%3Doff`);
    await assert.rejects(careless.read(group, patient()), /forgets commits/);
    const fast = open('c', await (await sharedPostgres()).createDatabase());
    await assert.rejects(fast.read(group, patient()), /forgets commits/);
  });

  test('what was answered is there after a kill -9 of the server', async () => {
    const group = newGroup();
    const witness = open('a');
    const first = leaseOf(group, undefined);
    await witness.compareAndSet(group, undefined, first, patient());
    await postgres.crash();
    await assert.rejects(witness.compareAndSet(group, first, leaseOf(group, first), patient()));
    await postgres.restart();
    assert.deepEqual((await witness.read(group, patient())).lease, first);
    await witness.close();
  });
});

describeReal('witness: a Lease of Kubernetes', findKubernetes, () => {
  let kubernetes: Kubernetes;
  before(async () => {
    kubernetes = await sharedKubernetes();
  });
  const open = (name: string, url = kubernetes.url) =>
    createKubernetesWitness({
      name,
      namespace: 'default',
      clock: systemClock,
      connect: async () =>
        createHttpClient({
          system: 'Kubernetes',
          baseUrl: url,
          headers: async () => ({ authorization: `Bearer ${kubernetes.adminToken}` }),
          tls: async () => ({ ca: kubernetes.ca }),
          explain: (body) => (body as { message?: string }).message,
        }),
    });
  conforms('Kubernetes', async () => ({ open, url: kubernetes.url }), { tellsExpiry: false });

  test('shows in kubectl who holds it, keeps what others wrote, and takes a label for no conflict', async () => {
    const group = newGroup();
    const path = `/apis/coordination.k8s.io/v1/namespaces/default/leases/catalyst-failover-${group}`;
    const witness = open('a');
    const first = leaseOf(group, undefined, { epoch: 7 });
    await witness.compareAndSet(group, undefined, first, patient());
    await kubernetes.request(path, {
      method: 'PATCH',
      contentType: 'application/merge-patch+json',
      body: { metadata: { labels: { team: 'sre' } } },
    });
    const second = leaseOf(group, first, { holder: 'hel', epoch: 8 });
    assert.deepEqual(await witness.compareAndSet(group, first, second, patient()), { result: 'applied' });
    const object = await kubernetes.request<{
      metadata: { labels: Record<string, string>; annotations: Record<string, string> };
      spec: Record<string, unknown>;
    }>(path);
    assert.equal(object.metadata.labels.team, 'sre');
    assert.deepEqual(JSON.parse(object.metadata.annotations[leaseAnnotation] ?? ''), second);
    assert.equal(object.spec.holderIdentity, 'hel');
    assert.equal(object.spec.leaseTransitions, 8);
    assert.equal(object.spec.leaseDurationSeconds, 30);
  });

  test('a namespace that is not there is an error, not an empty register', async () => {
    const witness = createKubernetesWitness({
      name: 'a',
      namespace: 'nowhere',
      clock: systemClock,
      connect: async () =>
        createHttpClient({
          system: 'Kubernetes',
          baseUrl: kubernetes.url,
          headers: async () => ({ authorization: `Bearer ${kubernetes.adminToken}` }),
          tls: async () => ({ ca: kubernetes.ca }),
          explain: (body) => (body as { message?: string }).message,
        }),
    });
    const group = newGroup();
    await assert.rejects(
      witness.compareAndSet(group, undefined, leaseOf(group, undefined), patient()),
      /namespaces "nowhere" not found/,
    );
  });
});
