import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { VirtualClock } from '../../src/clock.ts';
import type { Listening } from '../http.ts';
import { paceFor } from '../pace.ts';
import { Forge } from './forge.ts';
import { startGitea } from './server.ts';

const DISPATCH = '/repos/acme/platform/actions/workflows/remediate.yaml/dispatches';

for (const legacy of [false, true]) {
  describe(legacy ? 'Gitea of the 1.24 generation' : 'the Gitea API', () => {
    const clock = new VirtualClock();
    const forge = new Forge(clock, paceFor(), legacy);
    let server: Listening;

    before(async () => {
      server = await startGitea({ forge, token: 'the-token', host: '127.0.0.1', port: 0 });
    });
    after(() => server.close());

    const call = async (path: string, method = 'GET', body?: unknown, authorization = 'token the-token') => {
      const response = await fetch(`${server.url}/api/v1${path}`, {
        method,
        headers: { authorization, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
    };
    const live = async (ms: number) => {
      for (let passed = 0; passed < ms; passed += 100) {
        await clock.advance(100);
        forge.tick();
      }
    };

    it('starts a workflow, and its run can be followed to the end', async () => {
      const inputs = { execution_id: 'run-1', unheard: 'x' };
      const started = await call(`${DISPATCH}?return_run_details=true`, 'POST', { ref: 'main', inputs });
      if (legacy) assert.deepEqual(started, { status: 204, body: undefined });
      else {
        assert.equal(started.status, 200);
        assert.equal(started.body.run_url, `${server.url}/api/v1/repos/acme/platform/actions/runs/1`);
        assert.equal(started.body.workflow_run_id, 1);
      }
      const { body } = await call('/repos/acme/platform/actions/runs?event=workflow_dispatch');
      assert.equal(body.total_count, 1);
      assert.equal(body.workflow_runs[0].display_title, legacy ? 'Set the repository up' : 'rem run-1');
      assert.equal(body.workflow_runs[0].status, 'queued');
      assert.deepEqual(forge.runs[0]?.inputs, { execution_id: 'run-1', action: 'noop', target: '' });
      await live(400);
      assert.equal((await call('/repos/acme/platform/actions/runs/1')).body.status, 'in_progress');
      await live(1_600);
      const done = (await call('/repos/acme/platform/actions/runs/1')).body;
      assert.deepEqual(
        [done.status, done.conclusion, done.path],
        ['completed', 'success', 'remediate.yaml@refs/heads/main'],
      );
      const jobs = (await call('/repos/acme/platform/actions/runs/1/jobs')).body;
      assert.deepEqual([jobs.total_count, jobs.workflow_jobs[0].conclusion], [1, 'success']);
      assert.equal(jobs.workflow_jobs[0].steps[0].status, 'completed');
    });

    it(
      legacy ? 'cancels the run before when the same workflow is dispatched again' : 'lets two runs live side by side',
      async () => {
        await call(DISPATCH, 'POST', { ref: 'main' });
        await call(DISPATCH, 'POST', { ref: 'refs/heads/main' });
        await live(2_500);
        const conclusions = forge.runs.slice(-2).map((run) => run.conclusion);
        assert.deepEqual(conclusions, legacy ? ['cancelled', 'success'] : ['success', 'success']);
      },
    );
  });
}

describe('the Gitea API, to those who ask wrongly', () => {
  const forge = new Forge(new VirtualClock(), paceFor());
  let server: Listening;

  before(async () => {
    server = await startGitea({ forge, token: 'the-token', host: '127.0.0.1', port: 0 });
  });
  after(() => server.close());

  const call = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(`${server.url}/api/v1${path}`, {
      ...init,
      headers: { authorization: 'Bearer the-token', 'content-type': 'application/json', ...init.headers },
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
  };
  const dispatch = (path: string, body: unknown) => call(path, { method: 'POST', body: JSON.stringify(body) });

  it('answers with a status and a message', async () => {
    const missing = await dispatch(DISPATCH, {});
    assert.deepEqual(missing, {
      status: 422,
      body: { message: 'ref is required parameter', url: `${server.url}/api/swagger` },
    });
    assert.equal((await dispatch(DISPATCH, { ref: 'nowhere' })).status, 404);
    assert.equal((await dispatch(DISPATCH.replace('remediate', 'nothing'), { ref: 'main' })).status, 404);
    const number = await dispatch(DISPATCH, { ref: 'main', inputs: { target: 3 } });
    assert.equal(number.status, 422);
    assert.match(number.body.message, /cannot unmarshal number/);
    // The body that Alertmanager sends has no ref.
    assert.equal((await dispatch(DISPATCH, { version: '4', alerts: [] })).status, 422);
    // And this route of the handbook does not exist.
    assert.equal((await dispatch('/repos/acme/platform/actions/dispatches', { ref: 'main' })).status, 404);
    assert.equal((await call('/repos/acme/nothing')).status, 404);
    assert.equal(forge.runs.length, 0);
  });

  it('knows callers by token', async () => {
    assert.equal((await call('/version', { headers: { authorization: '' } })).status, 200);
    const anonymous = await call('/repos/acme/platform', { headers: { authorization: '' } });
    assert.deepEqual([anonymous.status, anonymous.body.message], [401, 'token is required']);
    assert.equal((await call('/user', { headers: { authorization: 'token wrong' } })).status, 401);
    assert.equal((await call('/user')).body.login, 'catalyst-sre');
  });

  it('shows repositories, folders and files', async () => {
    assert.equal((await call('/repos/system/runbooks')).body.default_branch, 'main');
    const folder = (await call('/repos/system/runbooks/contents')).body as { name: string; type: string }[];
    assert.deepEqual(
      folder.map(({ name, type }) => [name, type]),
      [
        ['README.md', 'file'],
        ['runbooks', 'dir'],
      ],
    );
    const file = (await call('/repos/system/runbooks/contents/runbooks/openbao-sealed.yaml?ref=main')).body;
    assert.equal(file.encoding, 'base64');
    assert.match(Buffer.from(file.content, 'base64').toString(), /kind: Runbook/);
    assert.match(file.sha, /^[0-9a-f]{40}$/);
    assert.equal((await call('/repos/system/runbooks/contents/nothing')).status, 404);
  });

  it('reports a workflow that fails as failed', async () => {
    const clock = new VirtualClock();
    const failing = new Forge(clock, paceFor());
    const repository = failing.find('acme', 'platform') ?? assert.fail();
    const run = failing.dispatch(repository, 'failing.yaml', 'main', {});
    for (let step = 0; step < 25; step++) {
      await clock.advance(100);
      failing.tick();
    }
    assert.deepEqual([run.status, run.conclusion], ['completed', 'failure']);
  });
});
