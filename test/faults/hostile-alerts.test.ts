/** Whatever anybody sends as an alert goes all the way, from the door to the record, and harms nothing on it. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { verifyChain } from '../../src/audit/record-store.ts';
import { waitUntil } from '../../testbed/process.ts';
import { serve, type TestServer } from '../integrations/support.ts';
import { delivery, type Product, startProduct } from './in-process.ts';

/** Puts labels into every place a runbook can: URL, body, expression, message, key. */
const runbook = (url: string) => `
apiVersion: catalyst.openova.io/v1alpha1
kind: Runbook
metadata: {name: repeat-what-was-said}
spec:
  mode: Automatic
  triggers: [{alertName: Hostile}]
  guards: {cooldown: 0s, maxRuns: {count: 1000, per: 1s}, concurrencyKey: "\${{ alert.labels.what + alert.fingerprint }}"}
  preconditions:
    - check: size(quoted(alert.labels.what)) >= 2
  steps:
    - run: http request POST ${url}/\${{ alert.labels.what }}
      timeout: 2s
      with: {body: {what: "\${{ alert.labels.what }}"}}
`;

const nasty = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.constantFrom(
    '\u0000',
    'a\u0000b',
    '\ud800',
    '\udfff tail',
    '\u001b[2J\u0007',
    '__proto__',
    'constructor',
    "'; DROP TABLE run; --",
    '${{ alert.labels.what }}',
    '--flag',
    '../../etc/passwd',
    '\\u0000',
    '\r\nX-Header: 1',
    '"}} {{ .Values }}',
    '�'.repeat(300),
    'x'.repeat(20_000),
  ),
);
const name = fc.oneof(nasty, fc.constantFrom('what', 'namespace', 'severity', 'organization', 'toString'));
const labels = fc.dictionary(name, nasty, { maxKeys: 6 });
const alert = fc.record(
  {
    status: fc.oneof(fc.constant('firing'), fc.constant('resolved'), nasty),
    labels: labels.map((some) => ({ alertname: 'Hostile', ...some })),
    annotations: labels,
    startsAt: fc.oneof(fc.constant('2026-01-05T12:00:00Z'), fc.constant('+275760-09-13T00:00:00Z'), nasty),
    endsAt: nasty,
    generatorURL: nasty,
    fingerprint: fc.oneof(nasty, fc.stringMatching(/^[0-9a-f]{16}$/)),
  },
  { requiredKeys: ['labels', 'status'] },
);
const body = fc.oneof(
  { weight: 5, arbitrary: fc.array(alert, { maxLength: 4 }).map((alerts) => JSON.stringify({ version: '4', alerts })) },
  fc.json(),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => new Uint8Array(bytes)),
  fc.constantFrom('', '{', '{"alerts":[', '['.repeat(100_000), `{"alerts":${'['.repeat(50)}${']'.repeat(50)}}`, 'null'),
);

async function workedThrough({ database: { db } }: Product) {
  const busy = async () => [
    ...(await db.selectFrom('delivery').select('id').where('state', '=', 'Pending').execute()),
    ...(await db.selectFrom('run').select('id').where('state', '<>', 'Ended').execute()),
  ];
  await waitUntil('the end of all work', 90_000, async () => (await busy()).length === 0);
}

let world: TestServer;
let product: Product;
before(async () => {
  world = await serve(() => [422, { error: 'never' }]);
  product = await startProduct({
    runbooks: runbook(world.url),
    config: { integrations: { http: { hosts: { [new URL(world.url).host]: {} } } } },
  });
});
after(async () => {
  await product[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

test('hostile alerts: always 200, each delivery told, each alert decided about, the record whole, the product well', async () => {
  let sent = 0;
  await fc.assert(
    fc.asyncProperty(body, async (bytes) => {
      sent += 1;
      assert.equal(await product.deliver(bytes), 200);
    }),
    { numRuns: 100 },
  );
  assert.equal(await product.deliver(delivery('Hostile', { what: 'sane' })), 200);
  await workedThrough(product);

  const { db } = product.database;
  const states = await db.selectFrom('delivery').select(['state', 'problem']).execute();
  assert.equal(states.length, sent + 1);
  for (const { state, problem } of states) assert.ok(state === 'Processed' || problem, 'a dead letter says why');
  const undecided = await db
    .selectFrom('alert')
    .leftJoin('decision', 'decision.alert_id', 'alert.id')
    .select('alert.name')
    .where('decision.id', 'is', null)
    .execute();
  assert.deepEqual(undecided, []);
  const chain = await verifyChain(db);
  assert.ok(chain.intact && chain.entries > sent, JSON.stringify(chain));
  const sane = world.requests.find(({ path }) => path === '/sane');
  assert.deepEqual(JSON.parse(sane?.body ?? '{}'), { what: 'sane' });
  for (const request of world.requests) assert.equal(request.headers['x-header'], undefined);
  for (const noun of ['alerts', 'incidents', 'runs', 'pages', 'deadletters', 'record']) {
    const answer = await product.get(`/api/v1/${noun}?limit=100`);
    assert.equal(answer.status, 200, answer.body);
    assert.ok(Array.isArray((JSON.parse(answer.body) as { items: unknown }).items));
  }
  assert.doesNotMatch(product.log.join(''), /"level":"error"|"reason":"Internal"/);
});

test('ten thousand alerts in one delivery: 200, and every one decided about', async () => {
  const alerts = Array.from({ length: 10_000 }, (_, i) => ({
    status: 'firing',
    labels: { alertname: 'Storm', namespace: `ns-${i % 50}`, pod: `pod-${i}` },
    startsAt: '2026-01-05T12:00:00Z',
  }));
  assert.equal(await product.deliver(JSON.stringify({ version: '4', alerts })), 200);
  await workedThrough(product);
  const { db } = product.database;
  const counts = await db
    .selectFrom('decision')
    .innerJoin('alert', 'alert.id', 'decision.alert_id')
    .select((s) => ['reason', s.fn.countAll<number>().as('count')])
    .where('alert.name', '=', 'Storm')
    .groupBy('reason')
    .execute();
  assert.deepEqual(
    counts.map(({ reason, count }) => [reason, Number(count)]),
    [['NoRunbook', 10_000]],
  );
  assert.equal((await product.get('/livez')).status, 200);
});
