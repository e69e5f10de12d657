import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { VirtualClock } from '../../src/clock.ts';
import type { Listening } from '../http.ts';
import { BaoCluster } from './cluster.ts';
import { startBao } from './server.ts';

const NAMES = ['openbao-0', 'openbao-1', 'openbao-2'];

describe('the OpenBao API', () => {
  const clock = new VirtualClock();
  let cluster: BaoCluster;
  let servers: Listening[];
  let isRunning = true;

  before(async () => {
    cluster = new BaoCluster(NAMES, () => clock.now());
    const start = (node: BaoCluster['nodes'][number]) =>
      startBao({ cluster, node, clock, host: '127.0.0.1', port: 0, isRunning: () => isRunning });
    servers = await Promise.all(cluster.nodes.map(start));
  });
  after(() => Promise.all(servers.map((server) => server.close())));

  const call = async (pod: number, path: string, init: RequestInit = {}) => {
    const response = await fetch(`${servers[pod]?.url}/v1/sys/${path}`, init);
    const text = await response.text();
    return { status: response.status, text, body: text.startsWith('{') ? JSON.parse(text) : undefined };
  };
  const unseal = (pod: number, body: unknown) => call(pod, 'unseal', { method: 'POST', body: JSON.stringify(body) });
  const share = (n: number) => cluster.shares[n] ?? assert.fail('no such share');
  const reset = () => {
    for (const node of cluster.nodes) node.seal();
  };

  it('reports a sealed server as the real one does', async () => {
    reset();
    const { status, body } = await call(0, 'seal-status');
    assert.equal(status, 200);
    assert.deepEqual(body, {
      type: 'shamir',
      initialized: true,
      sealed: true,
      t: 3,
      n: 5,
      progress: 0,
      nonce: '',
      version: '2.6.0',
      commit_date: body.commit_date,
      migration: false,
      recovery_seal: false,
      storage_type: 'raft',
    });
  });

  it('counts shares per pod under one nonce, takes hex and base64, and opens at the third', async () => {
    reset();
    const first = await unseal(0, { key: share(0) });
    assert.equal(first.body.progress, 1);
    assert.match(first.body.nonce, /^[0-9a-f-]{36}$/);
    const again = await unseal(0, { key: share(0) });
    assert.deepEqual([again.status, again.body.progress], [200, 1], 'a share given twice counts once');
    const second = await unseal(0, { key: Buffer.from(share(3), 'base64').toString('hex') });
    assert.deepEqual([second.body.progress, second.body.nonce], [2, first.body.nonce]);
    assert.equal((await call(1, 'seal-status')).body.progress, 0, 'other pods know nothing of it');
    const third = await unseal(0, { key: share(4) });
    assert.deepEqual([third.body.sealed, third.body.progress, third.body.nonce], [false, 0, '']);
    assert.equal(third.body.cluster_id, cluster.id);
    assert.equal((await call(1, 'seal-status')).body.sealed, true);
  });

  it('refuses a wrong share only at the end, and forgets all of them', async () => {
    reset();
    const wrong = Buffer.alloc(33, 7).toString('base64');
    await unseal(0, { key: share(0) });
    assert.equal((await unseal(0, { key: wrong })).body.progress, 2);
    const refused = await unseal(0, { key: share(1) });
    assert.equal(refused.status, 400);
    assert.deepEqual(refused.body, {
      errors: ['failed to decrypt encrypted stored keys: cipher: message authentication failed'],
    });
    const { body } = await call(0, 'seal-status');
    assert.deepEqual([body.sealed, body.progress, body.nonce], [true, 0, '']);
  });

  it('refuses what is no key at all', async () => {
    reset();
    for (const [sent, message] of [
      [{}, "'key' must be specified in request body as JSON, or 'reset' set to true"],
      [{ key: 'not a key!' }, "'key' must be a valid hex or base64 string"],
      [{ key: Buffer.alloc(4).toString('base64') }, 'invalid key: key is shorter than minimum 16 bytes'],
      [{ key: Buffer.alloc(40).toString('base64') }, 'invalid key: key is longer than maximum 33 bytes'],
    ] as const) {
      const { status, body } = await unseal(0, sent);
      assert.deepEqual([status, body], [400, { errors: [message] }]);
    }
    assert.equal((await call(0, 'unseal', { method: 'POST', body: '{' })).status, 400);
    assert.equal((await call(0, 'unseal')).status, 405);
  });

  it('resets an unsealing under way, and only that', async () => {
    reset();
    await unseal(0, { key: share(0) });
    assert.equal((await unseal(0, { reset: true })).body.progress, 0);
    cluster.unsealAll();
    const { status, body } = await unseal(0, { reset: true });
    assert.deepEqual([status, body], [400, { errors: ['vault is unsealed'] }]);
  });

  it('answers health with the codes of the documentation, and those the caller asks for', async () => {
    reset();
    assert.equal((await call(0, 'health')).status, 503);
    assert.equal((await call(0, 'health?sealedcode=299')).status, 299);
    assert.equal((await call(0, 'health', { method: 'HEAD' })).status, 503);
    cluster.unsealAll();
    const active = cluster.nodes.indexOf(cluster.leader ?? assert.fail('no leader'));
    const standby = (active + 1) % 3;
    assert.equal((await call(active, 'health')).status, 200);
    assert.equal((await call(standby, 'health')).status, 429);
    assert.equal((await call(standby, 'health?standbyok=true')).status, 200);
    const { body } = await call(standby, 'health');
    assert.deepEqual([body.initialized, body.sealed, body.standby], [true, false, true]);
    assert.equal(body.server_time_utc, Math.floor(clock.now() / 1000));
    assert.equal((await call(active, 'health?activecode=x')).status, 400);
  });

  it('has a leader only while a majority is open', async () => {
    reset();
    for (const n of [0, 1, 2]) await unseal(2, { key: share(n) });
    assert.deepEqual((await call(2, 'leader')).body, { ha_enabled: true });
    assert.equal((await call(2, 'health')).status, 429);
    for (const n of [0, 1, 2]) await unseal(1, { key: share(n) });
    assert.equal((await call(1, 'leader')).body.is_self, true);
    assert.match((await call(2, 'leader')).body.leader_address, /^http:\/\/openbao-1\./);
    assert.deepEqual((await call(0, 'leader')).body, { errors: ['Vault is sealed'] });
  });

  it('seals the active server for whoever holds the token, and no standby', async () => {
    reset();
    cluster.unsealAll();
    const active = cluster.nodes.indexOf(cluster.leader ?? assert.fail('no leader'));
    const seal = (pod: number, token: string) =>
      call(pod, 'seal', { method: 'POST', headers: { 'x-vault-token': token } });
    assert.deepEqual((await seal(active, 'wrong')).body, { errors: ['permission denied'] });
    const standby = await seal((active + 1) % 3, cluster.rootToken);
    assert.equal(standby.status, 500);
    assert.deepEqual(standby.body, { errors: ['vault cannot seal when in standby mode; please restart instead'] });
    assert.equal((await seal(active, cluster.rootToken)).status, 204);
    assert.equal((await call(active, 'seal-status')).body.sealed, true);
  });

  it('shows metrics while sealed and while open', async () => {
    reset();
    assert.match((await call(0, 'metrics?format=prometheus')).text, /^vault_core_unsealed\{.*\} 0$/m);
    cluster.unsealAll();
    assert.match((await call(0, 'metrics?format=prometheus')).text, /^vault_core_unsealed\{.*\} 1$/m);
    assert.equal((await call(0, 'metrics')).status, 400);
  });

  it('keeps secrets behind seal and token, and does not answer without a process', async () => {
    reset();
    const read = () => fetch(`${servers[0]?.url}/v1/secret/data/x`);
    assert.equal((await read()).status, 503);
    cluster.unsealAll();
    assert.equal((await read()).status, 403);
    isRunning = false;
    await assert.rejects(read());
    isRunning = true;
  });
});
