/** Gitea Actions as three generations answer: `tasks` (before run lists), `untitled` (run lists, titles are commit subjects), `named` (run ids and run names). */
import { serve, type TestServer } from '../support.ts';

export type Generation = 'tasks' | 'untitled' | 'named';

export interface FakeRun {
  id: number;
  display_title: string;
  event: string;
  head_branch: string;
  workflow: string;
  status: string;
  conclusion: string;
  polls: number;
  inputs: Record<string, string>;
}

export class FakeGitea {
  readonly runs: FakeRun[] = [];
  /** Looks at a run before it ends, and how it ends. */
  pollsToEnd = 2;
  conclusion = 'success';
  /** Answers the next dispatch with this, after it took effect. */
  lose: [number, unknown] | undefined;
  readonly generation: Generation;
  server!: TestServer;

  private constructor(generation: Generation) {
    this.generation = generation;
  }

  static async start(generation: Generation): Promise<FakeGitea> {
    const fake = new FakeGitea(generation);
    fake.server = await serve(({ method, url, body }) => fake.#answer(method, url, body));
    return fake;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
  }

  start(workflow: string, branch: string, inputs: Record<string, string> = {}): FakeRun {
    // This is what the older releases do, and what the caller must not let happen.
    for (const run of this.runs) {
      if (run.workflow === workflow && run.head_branch === branch && run.conclusion === '')
        Object.assign(run, { status: 'completed', conclusion: 'cancelled' });
    }
    const title = this.generation === 'named' ? `rem ${inputs.execution_id ?? ''}` : 'fix: the commit subject';
    const run = {
      id: this.runs.length + 1,
      display_title: title,
      event: 'workflow_dispatch',
      head_branch: branch,
      workflow,
      status: 'queued',
      conclusion: '',
      polls: 0,
      inputs,
    };
    this.runs.push(run);
    return run;
  }

  #answer(method: string, url: URL, body: string): [number, unknown] {
    const path = url.pathname.replace('/api/v1', '');
    if (path === '/version') return [200, { version: '1.24.2' }];
    if (path === '/repos/acme/runbooks')
      return [200, { default_branch: 'main', empty: false, archived: true, private: true, mirror: false }];
    const actions = path.replace('/repos/acme/runbooks/actions', '');
    const dispatched = /^\/workflows\/([^/]+)\/dispatches$/.exec(actions)?.[1];
    if (dispatched !== undefined && method === 'POST') return this.#dispatch(dispatched, body, url);
    if (actions === '/runs' && this.generation !== 'tasks') return [200, { workflow_runs: this.#list() }];
    if (actions === '/tasks') return [200, { workflow_runs: this.#list() }];
    const one = /^\/runs\/([0-9]+)$/.exec(actions)?.[1];
    const run = this.runs.find(({ id }) => String(id) === one);
    if (run !== undefined && this.generation === 'named') return [200, this.#shown(run)];
    return [404, { message: 'The target could not be found.' }];
  }

  #dispatch(workflow: string, body: string, url: URL): [number, unknown] {
    if (workflow !== 'remediate.yaml') return [404, { message: 'workflow not found' }];
    const { ref, inputs } = JSON.parse(body) as { ref?: string; inputs: Record<string, string> };
    if (ref === undefined) return [422, { message: 'ref is required parameter' }];
    const run = this.start(workflow, ref, inputs);
    if (this.lose !== undefined) {
      const lost = this.lose;
      this.lose = undefined;
      return lost;
    }
    if (this.generation === 'named' && url.searchParams.get('return_run_details') === 'true')
      return [200, { workflow_run_id: run.id }];
    return [204, undefined];
  }

  #list(): unknown[] {
    return [...this.runs].reverse().map((run) => this.#shown(run));
  }

  /** Each look brings a run nearer to its end. */
  #shown(run: FakeRun): unknown {
    run.polls++;
    if (run.conclusion === '' && run.polls > this.pollsToEnd)
      Object.assign(run, { status: 'completed', conclusion: this.conclusion });
    const { workflow, inputs: _, polls: __, ...rest } = run;
    if (this.generation === 'tasks')
      return { ...rest, workflow_id: workflow, status: run.conclusion || 'running', conclusion: undefined };
    return { ...rest, path: `${workflow}@refs/heads/${run.head_branch}`, html_url: `http://gitea/runs/${run.id}` };
  }
}
