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
import { findPostgres } from '../../testbed/postgres.ts';
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
  let url = '';
  before(async () => {
    url = await (await sharedPostgres()).createDatabase();
  });
  const open = (name: string, address = url) => createPostgresWitness({ name, url: async () => address });
  conforms('PostgreSQL', async () => ({ open, url }), { tellsExpiry: true });

  test('commits to disk even where the database is set not to', async () => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query(`ALTER DATABASE ${new URL(url).pathname.slice(1)} SET synchronous_commit = off`);
    const witness = open('a');
    const group = newGroup();
    await witness.compareAndSet(group, undefined, leaseOf(group, undefined), patient());
    // Their own session does as the database says; the witness's does not, which its catalog of sessions cannot show: ask it.
    const { rows } = await client.query('SHOW synchronous_commit');
    assert.equal(rows[0].synchronous_commit, 'on', 'this session began before the change');
    const watched = open('b', `${url}?options=-c%20synchronous_commit%3Doff`);
    await assert.doesNotReject(watched.read(group, patient()));
    for (const each of [witness, watched]) await each.close();
    await client.end();
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
    await assert.rejects(witness.compareAndSet(group, undefined, leaseOf(group, undefined), patient()), /namespaces "nowhere" not found/);
  });
});
