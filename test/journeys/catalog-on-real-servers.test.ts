/** Handbook §14: runbooks live in Git, or in the cluster as objects. Here with a real API server, and Git over real HTTP. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { dump, load } from 'js-yaml';
import { type App, startApp } from '../../src/app/app.ts';
import { checkConfig } from '../../src/app/config.ts';
import { renderPrometheus } from '../../src/app/slo-offline.ts';
import { IntegrationsConfig } from '../../src/integrations/all.ts';
import { findGitHttp, type GitHttp, startGitHttp } from '../../testbed/git-http.ts';
import { findKubernetes, type Kubernetes, startKubernetes } from '../../testbed/kubernetes.ts';
import { temporaryDirectory, waitUntil } from '../../testbed/process.ts';
import { describeReal } from '../../testbed/real.ts';
import { furnish } from '../fresh-database.ts';
import { installDefinitions, objective, runbook } from '../integrations/cluster-scene.ts';
import { auditName, serverRoles, serviceAccount } from '../support/service-account.ts';

const run = promisify(execFile);
/** Generous for two shared cores; a change is seen within a second. */
const limitMs = 60_000;
const runbooks = '/apis/catalyst.openova.io/v1alpha1/namespaces/shop-prod/runbooks';
const gitUser = { username: 'x-access-token', password: 'a-token-for-git' };
/** The definition the Prometheus Operator publishes, where it lies beside the repository. */
const prometheusRules = resolve(
  process.env.CATALYST_SPECS ?? join(import.meta.dirname, '../../../shared/specs'),
  'crds/monitoring.coreos.com_prometheusrules.yaml',
);
const pushSecret = randomBytes(16).toString('hex');

interface RunbookView {
  name: string;
  organization?: string;
  source: string;
  revision?: string;
  file: string;
  line: number;
}
interface Condition {
  type: string;
  status: string;
  reason: string;
  message: string;
  observedGeneration: number;
}

describeReal('the catalog', [findKubernetes, findGitHttp], () => {
  const directory = temporaryDirectory('catalog');
  const adminToken = randomBytes(24).toString('hex');
  let kubernetes: Kubernetes;
  let git: GitHttp;
  let app: App;
  before(async () => {
    // Nobody runs pods here: the API server alone is half the price.
    kubernetes = await startKubernetes({ node: false });
    await kubernetes.request('/api/v1/namespaces', { body: { metadata: { name: 'shop-prod' } } });
    await installDefinitions(kubernetes);
    git = await startGitHttp({ auth: gitUser });
    for (const owner of ['shop', 'system']) {
      git.createRepository(`${owner}/runbooks`);
      await push(git, directory.path, owner, 'first');
    }
    app = await start(directory.path, { kubernetes, git, adminToken });
  });
  after(async () => {
    await app?.stop();
    await git?.stop();
    await kubernetes?.stop();
    directory.remove();
  });

  const listed = async (): Promise<RunbookView[]> => {
    const answer = await fetch(`${app.url}/api/v1/runbooks?limit=200`, {
      headers: { authorization: `Bearer ${adminToken}` },
    });
    return ((await answer.json()) as { items: RunbookView[] }).items;
  };
  const seen = async (name: string, revision?: string): Promise<RunbookView> => {
    let found: RunbookView | undefined;
    await waitUntil(`runbook ${name} ${revision ?? ''}`, limitMs, async () => {
      found = (await listed()).find((one) => one.name === name && (revision ?? one.revision) === one.revision);
      return found !== undefined;
    });
    assert.ok(found);
    return found;
  };
  const readyOf = async (name: string, generation: number, collection = runbooks): Promise<Condition> => {
    let ready: Condition | undefined;
    await waitUntil(`the status of ${name}`, limitMs, async () => {
      const { status } = await kubernetes.request<{ status?: { conditions?: Condition[] } }>(`${collection}/${name}`);
      ready = status?.conditions?.find(({ type }) => type === 'Ready');
      return ready?.observedGeneration === generation;
    });
    assert.ok(ready);
    return ready;
  };

  test('loads Runbook objects and tells each whether it was accepted, for the generation it looked at', async () => {
    await kubernetes.request(runbooks, { body: runbook('good') });
    await kubernetes.request(runbooks, { body: runbook('bad', { steps: [{ verify: 'no.such.fact' }] }) });
    const good = await readyOf('good', 1);
    assert.deepEqual([good.status, good.reason], ['True', 'Accepted']);
    const bad = await readyOf('bad', 1);
    assert.deepEqual([bad.status, bad.reason], ['False', 'Invalid']);
    assert.match(bad.message, /There is no variable no/);
    const { organization, source, file } = await seen('good');
    assert.deepEqual([organization, source, file], ['shop', 'cluster', 'shop-prod/good']);
    assert.ok((await listed()).every(({ name }) => name !== 'bad'));

    await kubernetes.request(`${runbooks}/bad`, {
      method: 'PATCH',
      contentType: 'application/merge-patch+json',
      body: { spec: { steps: [{ verify: 'true' }] } },
    });
    assert.equal((await readyOf('bad', 2)).status, 'True');
    await seen('bad');
    await kubernetes.request(`${runbooks}/bad`, { method: 'DELETE' });
    await waitUntil('the runbook to be gone', limitMs, async () =>
      (await listed()).every(({ name }) => name !== 'bad'),
    );
  });

  test('loads objects of the other kinds it is told of, in a source of their own', async () => {
    const objectives = runbooks.replace(/runbooks$/, 'servicelevelobjectives');
    // Of the same name as a runbook: the two are different objects.
    const body = objective('good') as { spec: object };
    await kubernetes.request(objectives, { body });
    assert.deepEqual((await readyOf('good', 1, objectives)).reason, 'Accepted');
    const shown = async () =>
      (await (
        await fetch(`${app.url}/api/v1/slos/good`, { headers: { authorization: `Bearer ${adminToken}` } })
      ).json()) as { name?: string; organization?: string };
    assert.deepEqual(await shown().then(({ name, organization }) => [name, organization]), ['good', 'shop']);
    assert.equal((await seen('good')).source, 'cluster');
    // Fits the definition, and is refused by what only the catalog knows.
    await kubernetes.request(`${objectives}/good`, {
      method: 'PATCH',
      contentType: 'application/merge-patch+json',
      body: { spec: { objective: '0%' } },
    });
    const bad = await readyOf('good', 2, objectives);
    assert.deepEqual([bad.status, bad.reason], ['False', 'Invalid']);
    assert.match(bad.message, /0% holds whatever happens/);
    assert.equal((await shown()).name, 'good', 'the last good version goes on counting');
  });

  test('the generated PrometheusRule objects fit the real definition, and nothing of them is pruned', async (context) => {
    if (!existsSync(prometheusRules)) return context.skip(`${prometheusRules} is missing`);
    await kubernetes.installCrds([prometheusRules]);
    const { files } = await renderPrometheus({ from: [] });
    const objects = files.filter(({ path }) => path.startsWith('prometheus-operator/'));
    assert.ok(objects.length > 50);
    await kubernetes.request('/api/v1/namespaces', { body: { metadata: { name: 'catalyst-grafana' } } });
    for (const { text, path } of objects) {
      const body = load(text) as { metadata: object; spec: object };
      const at = '/apis/monitoring.coreos.com/v1/namespaces/catalyst-grafana/prometheusrules';
      const stored = await kubernetes.request<typeof body>(at, { body });
      assert.deepEqual(stored.spec, body.spec, path);
    }
    const broken = {
      metadata: { name: 'broken' },
      spec: { groups: [{ name: 'x', rules: [{ alert: 'NoExpression' }] }] },
    };
    await assert.rejects(
      kubernetes.request('/apis/monitoring.coreos.com/v1/namespaces/catalyst-grafana/prometheusrules', {
        body: { apiVersion: 'monitoring.coreos.com/v1', kind: 'PrometheusRule', ...broken },
      }),
      /422/,
    );
  });

  test('kubectl shows the columns of the definition, and the API server refuses what is no runbook', async () => {
    const table = await kubernetes.request<{ columnDefinitions: { name: string }[]; rows: { cells: unknown[] }[] }>(
      runbooks,
      { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' },
    );
    const columns = table.columnDefinitions.map(({ name }) => name);
    assert.deepEqual(columns.slice(0, 3), ['Name', 'Mode', 'Ready']);
    assert.equal(table.rows[0]?.cells[columns.indexOf('Ready')], 'True');
    await assert.rejects(kubernetes.request(runbooks, { body: runbook('wrong', { mode: 'Sometimes' }) }), /422/);
    await assert.rejects(kubernetes.request(runbooks, { body: runbook('wrong', { steps: 'all' }) }), /422/);
  });

  test('polls a repository over HTTP', async () => {
    await seen('system-first');
    const commit = await push(git, directory.path, 'system', 'second');
    const { file, line } = await seen('system-second', commit);
    assert.deepEqual([file, line], ['second.yaml', 1]);
  });

  test('takes a push at once, when its event is signed', async () => {
    await seen('shop-first');
    const commit = await push(git, directory.path, 'shop', 'second');
    const event = JSON.stringify({ ref: 'refs/heads/main', after: commit, repository: { full_name: 'shop/runbooks' } });
    const tell = (secret: string) =>
      fetch(`${app.url}/hooks/gitea`, {
        method: 'POST',
        body: event,
        headers: {
          'content-type': 'application/json',
          'x-gitea-event': 'push',
          'x-gitea-signature': createHmac('sha256', secret).update(event).digest('hex'),
        },
      });
    assert.equal((await tell('guessed')).status, 401);
    const answer = await tell(pushSecret);
    assert.deepEqual([answer.status, await answer.json()], [202, { refreshing: true }]);
    assert.equal((await seen('shop-second', commit)).organization, 'shop');
  });

  test('needs no right it is not given', () => {
    const refused = kubernetes.audit(auditName('catalyst-sre')).filter(({ status }) => status === 403);
    assert.deepEqual(refused, []);
  });
});

/** Commits a runbook `<owner>-<name>` and pushes it. Returns the commit. */
async function push({ url }: GitHttp, directory: string, owner: string, name: string): Promise<string> {
  const work = join(directory, 'work', owner);
  const address = new URL(`${url}/${owner}/runbooks.git`);
  Object.assign(address, gitUser);
  const inWork = (...args: string[]) =>
    run('git', ['-C', work, '-c', 'user.name=t', '-c', 'user.email=t@example.org', ...args]);
  mkdirSync(work, { recursive: true });
  await inWork('init', '-q', '-b', 'main');
  writeFileSync(join(work, `${name}.yaml`), dump(runbook(`${owner}-${name}`)));
  await inWork('add', '-A');
  await inWork('commit', '-q', '-m', `feat: ${name}`);
  await inWork('push', '-q', address.href, 'HEAD:main');
  return (await inWork('rev-parse', 'HEAD')).stdout.trim();
}

interface Servers {
  kubernetes: Kubernetes;
  git: GitHttp;
  adminToken: string;
}

async function start(directory: string, { kubernetes, git, adminToken }: Servers): Promise<App> {
  const file = (name: string, text: string) => {
    const path = join(directory, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  await furnish(join(directory, 'data'));
  const roles = serverRoles();
  const tokenFile = file('git-token', gitUser.password);
  const wanted = {
    listen: '127.0.0.1:0',
    dataDir: join(directory, 'data'),
    tokens: [{ name: 'admin', role: 'sovereign-admin', tokenFile: file('admin-token', adminToken) }],
    organizations: [{ name: 'shop', namespaces: ['shop-prod'] }],
    sovereign: { name: 'testbed' },
    integrations: {
      kubernetes: {
        server: kubernetes.url,
        caFile: file('ca.crt', kubernetes.ca),
        tokenFile: file('kubernetes-token', await serviceAccount(kubernetes, 'catalyst-sre', roles)),
      },
    },
    catalog: {
      sources: [
        { cluster: { kinds: ['Runbook', 'ServiceLevelObjective'] } },
        { git: { repository: `${git.url}/system/runbooks.git`, tokenFile, interval: '1s' } },
        {
          git: {
            repository: `${git.url}/shop/runbooks.git`,
            organization: 'shop',
            tokenFile,
            // Only an event can be why it is read again.
            interval: '1d',
            webhookSecretFile: file('push-secret', pushSecret),
          },
        },
      ],
    },
    telemetry: { logLevel: 'error' },
  };
  const checked = checkConfig(JSON.stringify(wanted), 'the catalog', IntegrationsConfig);
  if (!('config' in checked)) throw new Error(checked.problems.map(({ sentence }) => sentence).join(' '));
  return startApp({ config: checked.config, environment: { PATH: process.env.PATH ?? '' }, version: 'test' });
}
