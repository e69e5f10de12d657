/** A person in the loop, and money (handbook §4.3). */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Item, type PocketSovereign, startPocketSovereign } from '../support/pocket-sovereign.ts';

describe('mode Approval', () => {
  let s: PocketSovereign;
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'runbooks-'));
    await mkdir(folder, { recursive: true });
    const restart = (name: string, within: string) => `apiVersion: catalyst.openova.io/v1alpha1
kind: Runbook
metadata: {name: ${name}}
spec:
  steps:
    - approve: {role: sovereign-admin, within: ${within}, reason: Restarting the console logs people out.}
    - run: kubernetes restart Deployment catalyst-system console
`;
    await writeFile(join(folder, 'soon.yaml'), restart('restart-soon', '10s'));
    s = await startPocketSovereign({
      change: (config) => ({
        ...config,
        sovereign: { ...config.sovereign, mode: 'Approval' },
        catalog: { ...config.catalog, sources: [...config.catalog.sources, { folder }] },
      }),
    });
  });
  after(async () => {
    await s.stop();
    await rm(folder, { recursive: true });
  });

  const waiting = (runbook: string) =>
    s.until(`a run of ${runbook} waits for approval`, async () => {
      const runs = await s.list(`/api/v1/runs?runbook=${runbook}&state=AwaitingApproval`);
      const [approval] = runs[0] ? await s.list(`/api/v1/approvals?runId=${runs[0].id}&state=Pending`) : [];
      return approval && { run: runs[0] as Item, approval };
    });
  const over = (id: string) =>
    s.until(`run ${id} ends`, async () => {
      const run = await s.get(`/api/v1/runs/${id}`);
      return run.state === 'Ended' && run;
    });

  test('approve: nothing is done before, exactly the plan that was shown is done after', async () => {
    s.sandbox.inject('high-memory');
    const { run, approval } = await waiting('high-memory-usage');
    assert.equal(approval.role, 'sovereign-admin');
    assert.match(approval.plan[0].sentence, /^Scale Deployment shop-prod\/catalog from 2 to 3 replicas/);
    assert.equal(s.sandbox.world.deployment('shop-prod', 'catalog').spec.replicas, 2);
    await s.post(`/api/v1/runs/${run.id}/approve`, { planDigest: 'f'.repeat(64) }, 409);
    await s.post(`/api/v1/runs/${run.id}/approve`, { planDigest: approval.planDigest, comment: 'go ahead' });
    assert.equal((await over(run.id)).reason, 'Verified');
    assert.equal(s.sandbox.world.deployment('shop-prod', 'catalog').spec.replicas, 3);
    await s.post(`/api/v1/runs/${run.id}/approve`, {}, 409);
  });

  test('reject: nothing is done, and who said so is on record', async () => {
    s.sandbox.inject('high-error-rate');
    const { run } = await waiting('high-error-rate');
    await s.post(`/api/v1/runs/${run.id}/reject`, { comment: 'the release is wanted' });
    const { outcome, reason, actedAt } = await over(run.id);
    assert.deepEqual([reason, actedAt], ['ApprovalRejected', undefined], outcome);
    const record = await s.list(`/api/v1/record?runId=${run.id}&limit=200`);
    assert.ok(
      record.some(
        ({ kind, actor, sentence }) =>
          kind === 'approval.decided' && actor === 'token/sandbox' && /the release is wanted/.test(sentence),
      ),
    );
  });

  test('expire: nobody answers, nothing is done, somebody is paged', async () => {
    const started = await s.post('/api/v1/runbooks/restart-soon/runs');
    const run = await over(started.id);
    assert.deepEqual([run.reason, run.actedAt], ['ApprovalExpired', undefined]);
    const [approval] = await s.list(`/api/v1/approvals?runId=${run.id}`);
    assert.equal(approval?.state, 'Expired');
    await s.until(
      'the page is delivered',
      async () => (await s.list(`/api/v1/pages?runId=${run.id}&state=Delivered`))[0],
    );
  });
});

describe('the budget (handbook §4.3)', () => {
  let s: PocketSovereign;
  before(async () => {
    s = await startPocketSovereign();
  });
  after(() => s.stop());
  const spend = (share: number) => {
    const { world } = s.sandbox;
    const budget = world.budgets.acme;
    assert.ok(budget);
    budget.limit = (budget.limit * world.spendRatio('acme')) / share;
  };
  const prepared = (reason: string) =>
    s.until(`a run of high-memory-usage: ${reason}`, async () => {
      for (const run of await s.list('/api/v1/runs?runbook=high-memory-usage')) {
        const journal = await s.list(`/api/v1/runs/${run.id}/journal`);
        const found = journal.find(
          ({ kind, data }) => (kind === 'Prepared' && reason === 'Prepared') || data.reason === reason,
        );
        // Read after its journal: what the list said of it may be from before the entry.
        if (found) return { run: await s.get(`/api/v1/runs/${run.id}`), entry: found };
      }
      return undefined;
    });

  test('at 100 % every scale-up is blocked, and somebody is paged', async () => {
    spend(1.01);
    s.sandbox.inject('high-memory');
    const { run } = await prepared('BudgetExhausted');
    assert.equal(run.outcome, 'Refused');
    assert.equal(s.sandbox.world.deployment('shop-prod', 'catalog').spec.replicas, 2);
    await s.until('somebody is paged', async () => (await s.list(`/api/v1/pages?runId=${run.id}`))[0]);
  });

  test('at 80 % it goes on, with a warning in the log', async () => {
    spend(0.85);
    // The alert still fires; a person starts what the guard had blocked.
    const [alert] = await s.list('/api/v1/alerts?name=HighMemoryUsage');
    // Prometheus has to have read what was spent.
    await s.until('the budget to warn', async () => {
      const { verdict, preview } = await s.post('/api/v1/explanations', { alertId: alert?.id });
      const budget = preview.guards.find(({ guard }: Item) => guard === 'budget');
      return verdict === 'Acts' && budget.verdict === 'Warn';
    });
    await s.post('/api/v1/runbooks/high-memory-usage/runs', { alertId: alert?.id });
    await prepared('Prepared');
    await s.until('the log warns', async () =>
      s.log.some(
        ({ level, guard, msg }) =>
          level === 'warn' && guard === 'budget' && /8\d\.\d % of the budget/.test(String(msg)),
      ),
    );
  });
});
