/** Deliveries as they really come: twice, late, cut short, with false or missing ends. One firing is one run, or a reason. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Item, type PocketSovereign, startPocketSovereign } from '../support/pocket-sovereign.ts';

describe('deliveries', () => {
  let s: PocketSovereign;
  before(async () => {
    s = await startPocketSovereign();
  });
  after(() => s.stop());

  /** Prometheus has an expression for it that gives a sample, or none. */
  const alert = (labels: Item, { fires = true, startsAt = s.clock.now(), endsAt = 0 } = {}) => ({
    status: endsAt === 0 ? 'firing' : 'resolved',
    labels,
    annotations: {},
    startsAt: new Date(startsAt).toISOString(),
    endsAt: endsAt === 0 ? '0001-01-01T00:00:00Z' : new Date(endsAt).toISOString(),
    generatorURL: `${s.sandbox.prometheus.url}/graph?g0.expr=${fires ? 'vector(1)' : 'vector(1)+%3E+2'}`,
  });
  const delivery = (alerts: Item[], more: Item = {}) => ({
    version: '4',
    groupKey: '{}:{}',
    receiver: 'gitea\\-actions',
    status: 'firing',
    truncatedAlerts: 0,
    externalURL: s.sandbox.alertmanager.url,
    alerts,
    ...more,
  });
  const catalog = (alertname: string) => ({ alertname, namespace: 'shop-prod', deployment: 'catalog' });
  const alertsNamed = (name: string) => s.list(`/api/v1/alerts?name=${name}`);
  const decided = (name: string, count: number) =>
    s.until(`${count} decisions about ${name}`, async () => {
      const ids = (await alertsNamed(name)).map(({ id }) => id);
      const decisions = (await Promise.all(ids.map((id) => s.list(`/api/v1/decisions?alertId=${id}`)))).flat();
      return decisions.length >= count && decisions;
    });
  const ended = (runbook: string) =>
    s.until(`a run of ${runbook} ends`, async () => (await s.list(`/api/v1/runs?runbook=${runbook}&state=Ended`))[0]);

  test('an alert that is over before anything was done: not acted, and the reason is on record', async () => {
    await s.deliver(delivery([alert(catalog('HighMemoryUsage'), { fires: false })]));
    const run = await ended('high-memory-usage');
    assert.deepEqual([run.outcome, run.reason, run.actedAt], ['Refused', 'NotFiring', undefined]);
    const record = await s.list(`/api/v1/record?runId=${run.id}&limit=200`);
    assert.ok(record.some(({ kind, data }) => kind === 'run.ended' && data.reason === 'NotFiring'));
    // Nobody is woken for what is over.
    assert.deepEqual(await s.list(`/api/v1/pages?runId=${run.id}`), []);
  });

  test('the same firing five times from two Alertmanagers is one run', async () => {
    const began = s.clock.now();
    const labels = { alertname: 'RAGRetrievalEmpty', namespace: 'cortex', collection: 'docs' };
    for (const [externalURL, late] of [
      ['http://am-0', 0],
      ['http://am-1', 30_000],
      ['http://am-0', 0],
      ['http://am-1', 30_000],
      ['http://am-0', 0],
    ] as const)
      await s.deliver(delivery([alert(labels, { startsAt: began + late })], { externalURL }));
    const decisions = await decided('RAGRetrievalEmpty', 5);
    assert.deepEqual(decisions.map(({ reason }) => reason).sort(), [
      'Repeat',
      'Repeat',
      'Repeat',
      'Repeat',
      'RunStarted',
    ]);
    const [known, ...others] = await alertsNamed('RAGRetrievalEmpty');
    assert.deepEqual([known?.deliveries, others.length], [5, 0]);
    assert.equal((await s.list(`/api/v1/runs?alertId=${known?.id}`)).length, 1);
  });

  test('a truncated group that says it is resolved: each alert counts by its own word', async () => {
    const firing = alert({ alertname: 'Truncated', namespace: 'default' });
    await s.deliver(delivery([firing], { status: 'resolved', truncatedAlerts: 7 }));
    const [decision] = await decided('Truncated', 1);
    assert.equal(decision?.reason, 'NoRunbook');
    assert.equal((await alertsNamed('Truncated'))[0]?.state, 'Firing');
  });

  test('a false "resolved": the firing goes on, and runs nothing a second time', async () => {
    const began = s.clock.now();
    const labels = { alertname: 'TPPCertExpiring', namespace: 'default', tpp: 'psp-1' };
    await s.deliver(delivery([alert(labels, { startsAt: began })]));
    await s.deliver(delivery([alert(labels, { startsAt: began, endsAt: began + 60_000 })]));
    await s.deliver(delivery([alert(labels, { startsAt: began })]));
    const decisions = await decided('TPPCertExpiring', 3);
    assert.deepEqual(decisions.map(({ reason }) => reason).sort(), ['Reopened', 'ResolvedReported', 'RunStarted']);
    const [known] = await alertsNamed('TPPCertExpiring');
    assert.equal((await s.list(`/api/v1/runs?alertId=${known?.id}`)).length, 1);
    // The incident did not end by that word alone.
    const incident = await s.get(`/api/v1/incidents/${known?.incidentId}`);
    assert.notEqual(incident.state, 'Resolved');
  });

  test('why nothing was done is one question: explain, and the decisions', async () => {
    const [known] = await alertsNamed('Truncated');
    const explained = await s.post('/api/v1/explanations', { alertId: known?.id });
    assert.deepEqual([explained.verdict, explained.reason], ['NoRunbook', 'NoRunbook']);
    const memory = (await alertsNamed('HighMemoryUsage'))[0];
    const refused = await s.post('/api/v1/explanations', { alertId: memory?.id });
    assert.deepEqual([refused.verdict, refused.reason], ['Refuses', 'NotFiring']);
    // It looks on behind the first obstacle: the plan, the guards and every fact are told all the same.
    assert.match(refused.preview.plan[0].sentence, /^Scale Deployment shop-prod\/catalog from 2 to 3 replicas/);
    assert.deepEqual(
      refused.preview.guards.map(({ guard }: Item) => guard),
      ['cooldown', 'maxRuns', 'budget'],
    );
    for (const reading of refused.preview.readings)
      assert.ok(Date.parse(reading.at) <= Date.parse(refused.at) && reading.took >= 0);
    assert.equal((await s.list('/api/v1/runs?runbook=high-memory-usage')).length, 1, 'explaining starts nothing');
  });
});
