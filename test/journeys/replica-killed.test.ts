/**
 * Two replicas share one PostgreSQL. The one that carries out a run is killed while the answer to what it did is under way;
 * the other finds out what happened, and brings the run to its end.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { dump } from 'js-yaml';
import { type Sandbox, startSandbox } from '../../sandbox/start.ts';
import { type OpenDatabase, openDatabase } from '../../src/database/open.ts';
import { mainProgram } from '../../src/failover/drill/processes.ts';
import { findPostgres } from '../../testbed/postgres.ts';
import { type Server, startServer, temporaryDirectory, waitUntil } from '../../testbed/process.ts';
import { describeReal, sharedPostgres } from '../../testbed/real.ts';
import { type Cable, layCable } from '../cable.ts';

/** A claim ends thirty seconds after its holder was last heard of. */
const limitMs = 150_000;

describeReal('two replicas, one killed', findPostgres, () => {
  const directory = temporaryDirectory('replicas');
  const admin = randomBytes(24).toString('hex');
  let sandbox: Sandbox;
  /** Between the replicas and the cluster. */
  let cable: Cable;
  let database: OpenDatabase;
  const replicas: { server: Server; url: string }[] = [];
  before(async () => {
    sandbox = await startSandbox();
    cable = await layCable(sandbox.kubernetes.url);
    const url = await (await sharedPostgres()).createDatabase();
    for (const name of ['a', 'b'])
      replicas.push(await startReplica(directory.path, name, { sandbox, cable, url, admin }));
    database = await openDatabase({ kind: 'postgres', url });
  });
  after(async () => {
    await database?.close();
    await Promise.all(replicas.map(({ server }) => server.stop()));
    await cable?.close();
    await sandbox?.stop();
    directory.remove();
  });

  test('the other takes the run over, and the effect is not repeated', async (context) => {
    const [first] = replicas;
    sandbox.alertmanager.setWebhook({ url: `${first?.url}/hooks/alertmanager`, token: admin });
    const deleted: string[] = [];
    let held = false;
    const unsubscribe = sandbox.world.store.subscribe(({ type, object }) => {
      if (object.kind !== 'Pod') return;
      if (type === 'DELETED') deleted.push(object.metadata.name);
      if (held || object.metadata.deletionTimestamp === undefined) return;
      // The deletion is accepted and not yet answered: who asked for it keeps the run in hand until the answer comes.
      held = true;
      cable.hold();
    });
    context.after(unsubscribe);
    sandbox.inject('pod-crash-loop');
    const row = () => database.db.selectFrom('run').selectAll().executeTakeFirst();
    let holder: string | null | undefined;
    await waitUntil('the deletion of the pod to be begun', limitMs, async () => {
      holder = held ? (await row())?.claimed_by : undefined;
      return holder != null;
    });
    const dead = replicas.find(({ server }) => holder?.includes(`/${server.pid}/`));
    assert.ok(dead, `${holder} is none of the replicas`);
    await dead.server.kill('SIGKILL');
    cable.cut();
    await waitUntil('the run to end', limitMs, async () => (await row())?.state === 'Ended');
    const run = await row();
    assert.deepEqual([run?.outcome, run?.reason], ['Succeeded', 'Verified']);
    assert.ok(sandbox.isHealthy('pod-crash-loop'));
    assert.equal(deleted.length, 1, deleted.join(' '));
  });
});

interface Shared {
  sandbox: Sandbox;
  cable: Cable;
  url: string;
  admin: string;
}

/** `catalyst-sre serve` as a process of its own. */
async function startReplica(directory: string, name: string, { sandbox, cable, url, admin }: Shared) {
  const dataDir = join(directory, name);
  mkdirSync(dataDir);
  const file = (of: string, text: string) => {
    const path = join(dataDir, of);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  mkdirSync(join(dataDir, 'runbooks'));
  file('runbooks/pod-crash-loop-backoff.yaml', dump(slowRunbook));
  const config = {
    listen: '127.0.0.1:0',
    dataDir,
    database: { urlFile: file('database-url', url) },
    sovereign: { name: 'pocket', mode: 'Automatic' },
    policy: { defaultRunbookMode: 'Automatic' },
    tokens: [{ name: 'alertmanager', role: 'intake', tokenFile: file('token', admin) }],
    integrations: {
      kubernetes: {
        server: cable.url.replace(/\/$/, ''),
        tokenFile: file('kubernetes-token', sandbox.kubernetes.token),
      },
      prometheus: { url: sandbox.prometheus.url },
      alertmanager: { url: sandbox.alertmanager.url },
    },
    catalog: { sources: [{ folder: join(dataDir, 'runbooks') }] },
  };
  const server = startServer({
    name: `replica ${name}`,
    program: process.execPath,
    args: [mainProgram, 'serve', '--config', file('config.yaml', dump(config))],
  });
  let listening = '';
  await waitUntil(
    `replica ${name}`,
    limitMs,
    () => {
      listening = /listens at (http:\/\/\S+[0-9])/.exec(server.logs())?.[1] ?? '';
      return listening !== '';
    },
    [server],
  );
  return { server, url: listening };
}

/** In place of the handbook's: the same deletion, and a verification long enough to be killed in and short enough for a test. */
const slowRunbook = {
  apiVersion: 'catalyst.openova.io/v1alpha1',
  kind: 'Runbook',
  metadata: { name: 'pod-crash-loop-backoff', namespace: 'catalyst-system' },
  spec: {
    triggers: [{ alertName: 'PodCrashLoopBackOff' }],
    target: { kind: 'Pod', namespace: '${{ alert.labels.namespace }}', name: '${{ alert.labels.pod }}' },
    steps: [
      { run: 'kubernetes delete pod ${{ target.namespace }} ${{ target.name }}' },
      {
        verify: 'kubernetes.podsReady(target.namespace, "app.kubernetes.io/name=projector") == 2',
        for: '10s',
        within: '2m',
      },
    ],
  },
};
