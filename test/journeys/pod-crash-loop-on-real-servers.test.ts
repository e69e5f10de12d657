/**
 * Handbook §4.2 and §12 on real servers. A release exits as soon as it starts; it was taken back, but a StatefulSet does
 * not replace a pod that never became ready (Kubernetes calls it forced rollback), so that somebody has to delete it.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { findAlertmanager } from '../../testbed/alertmanager.ts';
import { findKubernetes } from '../../testbed/kubernetes.ts';
import { findPostgres } from '../../testbed/postgres.ts';
import { waitUntil } from '../../testbed/process.ts';
import { findPrometheus } from '../../testbed/prometheus.ts';
import { describeReal } from '../../testbed/real.ts';
import { fastClock } from '../integrations/support.ts';
import { breakCart, cart, crashLoopRule } from '../support/crash-loop.ts';
import { type RealSovereign, startRealSovereign } from '../support/real-sovereign.ts';
import { auditName } from '../support/service-account.ts';

/**
 * The runbook verifies for two minutes of the product's clock, which here is forty seconds; the servers keep real time.
 * Faster than that, the product's limits for one request would come near what a busy machine takes to answer.
 */
const pace = 3;
/** Generous for two shared cores; an idle machine needs one and a half minutes from the fault to the resolution. */
const limitMs = 180_000;

interface Alert {
  id: string;
  labels: Record<string, string>;
  incidentId?: string;
}
interface Run {
  id: string;
  runbook: string;
  mode: string;
  state: string;
  outcome?: string;
  reason?: string;
  target?: string;
  alertId?: string;
  organization?: string;
}
interface List<Item> {
  items: Item[];
}

describeReal(
  'PodCrashLoopBackOff, from the kubelet to the verified fix',
  [findKubernetes, findPrometheus, findAlertmanager, findPostgres],
  () => {
    let sovereign: RealSovereign;
    const broken = new Map<string, string>();
    before(async () => {
      sovereign = await startRealSovereign({
        clock: fastClock(pace, Date.now()),
        rules: { groups: [{ name: 'handbook', rules: [crashLoopRule] }] },
        config: {
          sovereign: { name: 'testbed', mode: 'Automatic' },
          policy: { defaultRunbookMode: 'Automatic' },
          organizations: [
            { name: 'shop', namespaces: ['shop-prod'] },
            { name: 'acme', namespaces: ['acme-prod'], mode: 'Suggest' },
          ],
        },
      });
      await Promise.all(
        ['shop-prod', 'acme-prod'].map(async (namespace) =>
          broken.set(namespace, await breakCart(sovereign.kubernetes, namespace)),
        ),
      );
    });
    after(() => sovereign.stop());

    test('in Automatic mode the pod is deleted, the fix verified, the incident resolved', async () => {
      const run = await endedRun(sovereign, 'shop-prod');
      assert.deepEqual(
        [run.runbook, run.mode, run.outcome, run.reason, run.organization],
        ['pod-crash-loop-backoff', 'Automatic', 'Succeeded', 'Verified', 'shop'],
      );
      const pod = await cart(sovereign.kubernetes, 'shop-prod');
      assert.notEqual(pod?.metadata.uid, broken.get('shop-prod'));
      assert.equal(pod?.status.containerStatuses?.[0]?.ready, true);
      const alert = await alertIn(sovereign, 'shop-prod');
      await waitUntil('the incident to be resolved', limitMs, async () => {
        const { state } = await sovereign.get<{ state: string }>(`/api/v1/incidents/${alert.incidentId}`);
        return state === 'Resolved';
      });
    });

    test('in Suggest mode it says what it would do, and nothing changes', async () => {
      const run = await endedRun(sovereign, 'acme-prod');
      assert.deepEqual([run.mode, run.outcome, run.reason], ['Suggest', 'Suggested', 'Suggested']);
      const pod = await cart(sovereign.kubernetes, 'acme-prod');
      assert.equal(pod?.metadata.uid, broken.get('acme-prod'));
      const alert = await alertIn(sovereign, 'acme-prod');
      const { state } = await sovereign.get<{ state: string }>(`/api/v1/incidents/${alert.incidentId}`);
      assert.equal(state, 'Open');
    });

    test('the API server saw one change, by an account with no right too many', () => {
      const calls = sovereign.kubernetes.audit(auditName('catalyst-sre'));
      const changes = calls.filter(({ verb }) => !['get', 'list', 'watch'].includes(verb));
      assert.deepEqual(changes, [
        { verb: 'delete', apiGroup: '', resource: 'pods', namespace: 'shop-prod', name: 'cart-0', status: 200 },
      ]);
      assert.deepEqual(
        calls.filter(({ status }) => status === 403),
        [],
      );
    });

    test('each delivered alert has its decision, and the record is intact', async () => {
      for (const namespace of broken.keys()) {
        const { id } = await alertIn(sovereign, namespace);
        const { items } = await sovereign.get<List<{ outcome: string; runbook?: string }>>(
          `/api/v1/decisions?alertId=${id}`,
        );
        assert.deepEqual(
          items.filter(({ outcome }) => outcome === 'RunStarted').map(({ runbook }) => runbook),
          ['pod-crash-loop-backoff'],
        );
      }
      const verdict = await sovereign.get<{ intact: boolean; entries: number }>('/api/v1/record/verify');
      assert.ok(verdict.intact && verdict.entries > 0);
    });
  },
);

async function alertIn(sovereign: RealSovereign, namespace: string): Promise<Alert> {
  const { items } = await sovereign.get<List<Alert>>('/api/v1/alerts');
  const [alert] = items.filter(({ labels }) => labels.namespace === namespace);
  assert.ok(alert);
  return alert;
}

async function endedRun(sovereign: RealSovereign, namespace: string): Promise<Run> {
  let run: Run | undefined;
  await waitUntil(`the run for ${namespace} to end`, limitMs, async () => {
    const { items } = await sovereign.get<List<Run>>('/api/v1/runs');
    run = items.find(({ target }) => target?.includes(namespace));
    if (run?.state !== 'Ended') throw new Error(JSON.stringify(items));
    return true;
  });
  assert.ok(run);
  return run;
}
