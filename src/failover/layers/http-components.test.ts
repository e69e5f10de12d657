import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, describe, it } from 'node:test';
import { systemClock } from '../../clock.ts';
import { createHarbor } from './harbor.ts';
import type { ApiEffects, ApiOptions } from './http-component.ts';
import type { Authority } from './layer.ts';
import { createOpenSearch } from './opensearch.ts';
import { createClickHouse, createMinio, createNeo4j } from './writable-components.ts';

const context = { clock: systemClock, signal: AbortSignal.timeout(60_000) };

interface Asked {
  method: string;
  path: string;
  body: string;
  headers: NodeJS.Dict<string | string[]>;
}
type Answer = { status?: number; body?: unknown };

/** A server that keeps to a contract as far as the test says it, and remembers what it was asked. */
async function serverOf(answer: (asked: Asked) => Answer) {
  const asked: Asked[] = [];
  const server: Server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    const one = { method: request.method ?? '', path: request.url ?? '', body, headers: request.headers };
    asked.push(one);
    const { status = 200, body: said } = answer(one);
    response
      .writeHead(status, { 'content-type': 'application/json' })
      .end(said === undefined ? '' : JSON.stringify(said));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  const options: ApiOptions = {
    name: 'c',
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    secret: async () => 'admin:p:ss',
  };
  const writes = () => asked.filter(({ method }) => method !== 'GET').map(({ method, path }) => `${method} ${path}`);
  return { options, asked, writes };
}

function authority(live = () => true): Authority {
  return {
    group: 'g',
    region: 'hel',
    epoch: 4,
    demand: () => {
      if (!live()) throw new Error('epoch 4 is over');
    },
  };
}

/** Everything a component is asked ends here, so that no test keeps a connection. */
function made(effects: ApiEffects): ApiEffects {
  after(() => effects.close?.());
  return effects;
}

describe('OpenSearch', () => {
  function cluster() {
    const state = { rules: ['logs-rule'], followers: ['logs-1', 'logs 2'], paused: 0, failed: 0 };
    const answer = ({ method, path, body }: Asked): Answer => {
      if (path === '/_plugins/_replication/autofollow_stats')
        return { body: { num_success_start_replication: 2, autofollow_stats: state.rules.map((name) => ({ name })) } };
      if (path === '/_plugins/_replication/follower_stats')
        return {
          body: {
            num_syncing_indices: state.followers.length,
            num_bootstrapping_indices: 0,
            num_paused_indices: state.paused,
            num_failed_indices: state.failed,
            index_stats: Object.fromEntries(state.followers.map((name) => [name, { operations_written: 1 }])),
          },
        };
      if (method === 'DELETE') {
        const { leader_alias: alias, name } = JSON.parse(body);
        if (alias !== 'fsn') return { status: 400, body: { error: { reason: 'no such connection' }, status: 400 } };
        state.rules = state.rules.filter((rule) => rule !== name);
        return { body: { acknowledged: true } };
      }
      const [, index = ''] = /^\/_plugins\/_replication\/([^/]+)\/_stop$/.exec(path) ?? [];
      if (method !== 'POST' || body !== '{}') return { status: 405 };
      state.followers = state.followers.filter((name) => name !== decodeURIComponent(index));
      return { body: { acknowledged: true } };
    };
    return { state, answer };
  }

  it('deletes the rules, then stops each follower; it is writable when nothing follows any more', async () => {
    const { answer } = cluster();
    const { options, asked, writes } = await serverOf(answer);
    const component = made(createOpenSearch({ ...options, leaderAlias: 'fsn' }));
    await assert.rejects(component.verify(context), /still follows by the rules logs-rule/);
    await component.promote(context, authority(), undefined);
    assert.deepEqual(writes(), [
      'DELETE /_plugins/_replication/_autofollow',
      'POST /_plugins/_replication/logs-1/_stop',
      'POST /_plugins/_replication/logs%202/_stop',
    ]);
    assert.equal(asked[0]?.headers.authorization, `Basic ${Buffer.from('admin:p:ss').toString('base64')}`);
    await component.verify(context);
    await component.promote(context, authority(), undefined);
    assert.equal(writes().length, 3, 'a second time there is nothing to do');
  });

  it('waits for a follower the API counts and does not name, and stops nothing under a dead epoch', async () => {
    const { state, answer } = cluster();
    Object.assign(state, { rules: [], followers: [], paused: 1 });
    const { options, writes } = await serverOf(answer);
    const component = made(createOpenSearch({ ...options, leaderAlias: 'fsn' }));
    await assert.rejects(component.verify(context), /1 followers that are paused, failed or not stopped/);
    state.followers = ['a', 'b'];
    let left = 1;
    await assert.rejects(
      component.promote(
        context,
        authority(() => left-- > 0),
        undefined,
      ),
      /epoch 4 is over/,
    );
    assert.deepEqual(writes(), ['POST /_plugins/_replication/a/_stop']);
  });

  it('says what the server said, and fails pre-flight for a follower that failed', async () => {
    const { state, answer } = cluster();
    const { options } = await serverOf(answer);
    const component = made(createOpenSearch({ ...options, leaderAlias: 'wrong' }));
    await assert.rejects(component.promote(context, authority(), undefined), /no such connection/);
    assert.equal((await component.checks(context))[0]?.verdict, 'passed');
    state.failed = 1;
    assert.equal((await component.checks(context))[0]?.verdict, 'failed');
    const nobody = made(createOpenSearch({ ...options, url: 'http://127.0.0.1:1', leaderAlias: 'x' }));
    assert.equal((await nobody.checks(context))[0]?.verdict, 'unknown');
  });
});

describe('Harbor', () => {
  it('switches off what pulls from elsewhere, whole and with its runs, and takes pushes afterwards', async () => {
    const policies = [
      { id: 1, name: 'push-out', enabled: true, dest_registry: { id: 7 }, src_registry: { id: 0 }, filters: [] },
      {
        id: 2,
        name: 'pull-in',
        enabled: true,
        src_registry: { id: 7 },
        trigger: { type: 'scheduled' },
        override: true,
      },
      { id: 3, name: 'pull-off', enabled: false, src_registry: { id: 7 } },
    ];
    const put: Record<string, unknown> = {};
    let readOnly = true;
    const { options, writes } = await serverOf(({ method, path, body }) => {
      const url = new URL(path, 'http://x');
      const [, id] = /^\/api\/v2\.0\/replication\/policies\/(\d+)$/.exec(url.pathname) ?? [];
      const policy = policies.find((one) => String(one.id) === id);
      if (policy && method === 'PUT') {
        Object.assign(policy, JSON.parse(body));
        put[id ?? ''] = JSON.parse(body);
        return {};
      }
      if (policy) return { body: policy };
      if (url.pathname.endsWith('/policies')) return { body: policies };
      if (method === 'PUT') return {};
      if (url.pathname.endsWith('/executions'))
        return { body: url.searchParams.get('policy_id') === '2' ? [{ id: 41, status: 'InProgress' }] : [] };
      if (url.pathname.endsWith('/health')) return { body: { status: 'healthy', components: [] } };
      return { body: { read_only: { value: readOnly, editable: true } } };
    });
    const component = made(createHarbor(options));
    await component.promote(context, authority(), undefined);
    assert.deepEqual(writes(), ['PUT /api/v2.0/replication/policies/2', 'PUT /api/v2.0/replication/executions/41']);
    assert.deepEqual(put['2'], { ...policies[1], enabled: false });
    await assert.rejects(component.verify(context), /is read-only/);
    readOnly = false;
    await component.verify(context);
  });
});

describe('ClickHouse', () => {
  it('is writable while no replicated table is read-only, and says what a person does when one is', async () => {
    let rows: object[] = [];
    const { options, asked } = await serverOf(() => ({ body: { meta: [], data: rows, rows: rows.length } }));
    const component = made(createClickHouse(options));
    await component.verify(context);
    assert.match(asked[0]?.body ?? '', /FROM system\.replicas WHERE is_readonly OR is_session_expired FORMAT JSON/);
    assert.deepEqual(
      [asked[0]?.headers['x-clickhouse-user'], asked[0]?.headers['x-clickhouse-key']],
      ['admin', 'p:ss'],
    );
    rows = [{ database: 'shop', table: 'orders' }];
    await assert.rejects(component.verify(context), /shop\.orders.*Recover Keeper.*SYSTEM RESTORE REPLICA.*plan waits/);
    // It hangs on the members of the region that is lost: pre-flight must not keep people from taking over.
    assert.equal((await component.checks(context))[0]?.verdict, 'passed');
  });
});

describe('Neo4j', () => {
  it('is writable when each database has a writer, and names the ones that have none', async () => {
    const fields = ['name', 'type', 'currentStatus', 'writer'];
    let values: unknown[][] = [
      ['system', 'system', 'online', true],
      ['shop', 'standard', 'online', false],
      ['shop', 'standard', 'online', true],
    ];
    const { options, asked } = await serverOf(() => ({ status: 202, body: { data: { fields, values } } }));
    const component = made(createNeo4j(options));
    await component.verify(context);
    assert.equal(asked[0]?.path, '/db/system/query/v2');
    values = [...values, ['people', 'standard', 'offline', true]];
    await assert.rejects(component.verify(context), /takes writes for people\. .*dbms\.recreateDatabase\('people'/);
    values = [['shop', 'standard', 'online', false]];
    await assert.rejects(component.verify(context), /for shop\./);
  });
});

describe('MinIO', () => {
  it('is asked for its write quorum, without a name', async () => {
    let status = 200;
    const { options, asked } = await serverOf(() => ({ status }));
    const component = made(createMinio(options));
    await component.promote(context, authority(), undefined);
    await component.verify(context);
    assert.deepEqual([asked[0]?.path, asked[0]?.headers.authorization], ['/minio/health/cluster', undefined]);
    status = 503;
    await assert.rejects(component.verify(context), /no write quorum/);
    assert.equal((await component.checks(context))[0]?.verdict, 'failed');
  });
});
