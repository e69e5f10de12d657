/** The HTTP API of Gitea: what reads repositories and what starts and follows workflow runs. */
import { type Answer, type Call, credentials, type Listening, listen, sendJson, sendText } from '../http.ts';
import { isTree } from '../kubernetes/object.ts';
import { blobId, type Forge, ForgeError, type Repository, type Run, WORKFLOW_FOLDER } from './forge.ts';

export interface GiteaOptions {
  forge: Forge;
  token: string;
  host: string;
  port: number;
}

const USER = { id: 1, login: 'catalyst-sre', full_name: '', email: 'catalyst-sre@noreply.localhost' };
const DEFAULT_LIMIT = 30;
const MAX_LIMIT = 50;
/** Go's zero time, for what has not happened. */
const NO_TIME = '0001-01-01T00:00:00Z';

/** Starts the API. */
export async function startGitea(options: GiteaOptions): Promise<Listening> {
  const base = { url: '' };
  const listening = await listen({
    host: options.host,
    port: options.port,
    handle: (call) => {
      try {
        return new Api(options, base.url, call).answer();
      } catch (error) {
        if (!(error instanceof ForgeError)) throw error;
        return sendError(call, base.url, error.status, error.message);
      }
    },
    fail: (call, status, message) => sendError(call, base.url, status, message),
  });
  base.url = listening.url;
  return listening;
}

function sendError(call: Pick<Call, 'response'>, url: string, status: number, message: string): Answer {
  const errors = status === 404 ? { errors: [] } : {};
  return sendJson(call, status, { ...errors, message, url: `${url}/api/swagger` });
}

class Api {
  readonly #forge: Forge;
  readonly #token: string;
  readonly #url: string;
  readonly #call: Call;

  constructor({ forge, token }: GiteaOptions, url: string, call: Call) {
    this.#forge = forge;
    this.#token = token;
    this.#url = url;
    this.#call = call;
  }

  answer(): Answer {
    const call = this.#call;
    const [api, v1, ...rest] = call.parts;
    if (api !== 'api' || v1 !== 'v1') return sendText(call, 404, 'Not found.\n');
    if (rest[0] === 'version' && call.method === 'GET') {
      return sendJson(call, 200, { version: this.#forge.legacy ? '1.24.7' : '1.27.0' });
    }
    const token = credentials(call, 'token', 'bearer');
    if (token === undefined) throw new ForgeError(401, 'token is required');
    if (token !== this.#token) throw new ForgeError(401, 'invalid username, password or token');
    if (rest[0] === 'user' && rest.length === 1) return sendJson(call, 200, USER);
    const repository = rest[0] === 'repos' ? this.#forge.find(rest[1], rest[2]) : undefined;
    if (!repository) throw new ForgeError(404, "The target couldn't be found.");
    return this.#repository(repository, rest.slice(3));
  }

  #repository(repository: Repository, [section, ...rest]: string[]): Answer {
    const call = this.#call;
    if (section === 'actions') return this.#actions(repository, rest);
    if (call.method === 'GET') {
      if (section === undefined) return sendJson(call, 200, this.#repositoryBody(repository));
      if (section === 'contents') return this.#contents(repository, rest.join('/'));
      if (section === 'raw') {
        const text = repository.files.get(rest.join('/'));
        if (text !== undefined) return sendText(call, 200, text);
      }
      if (section === 'branches' && rest[0] === repository.branch) {
        const commit = { id: repository.commit.sha, message: `${repository.commit.subject}\n` };
        return sendJson(call, 200, { name: repository.branch, commit, protected: false });
      }
    }
    throw new ForgeError(404, "The target couldn't be found.");
  }

  #actions(repository: Repository, [section, id, more]: string[]): Answer {
    const call = this.#call;
    if (section === 'workflows' && id !== undefined && more === 'dispatches' && call.method === 'POST') {
      return this.#dispatch(repository, id);
    }
    if (call.method !== 'GET') throw new ForgeError(404, "The target couldn't be found.");
    if (section === 'workflows' && id === undefined) return this.#workflows(repository);
    if (section === 'runs' && id === undefined) return this.#list(repository, (run) => this.#runBody(run));
    if (section === 'tasks' && id === undefined) return this.#list(repository, (run) => this.#taskBody(run));
    if (section === 'workflows' && more === 'runs') {
      return this.#list(
        repository,
        (run) => this.#runBody(run),
        (run) => run.workflow === id,
      );
    }
    const run = this.#forge.runs.find((r) => r.repository === repository && String(r.id) === id);
    if (section !== 'runs' || !run) throw new ForgeError(404, "The target couldn't be found.");
    if (more === undefined) return sendJson(call, 200, this.#runBody(run));
    if (more === 'jobs') return sendJson(call, 200, { workflow_jobs: [this.#jobBody(run)], total_count: 1 });
    throw new ForgeError(404, "The target couldn't be found.");
  }

  #dispatch(repository: Repository, workflow: string): Answer {
    const call = this.#call;
    const { ref, inputs } = this.#dispatchBody();
    if (ref === '') throw new ForgeError(422, 'ref is required parameter');
    const run = this.#forge.dispatch(repository, workflow, ref, inputs);
    if (this.#forge.legacy || !['true', '1'].includes(call.query.get('return_run_details') ?? '')) {
      return sendText(call, 204);
    }
    return sendJson(call, 200, {
      workflow_run_id: run.id,
      run_url: `${this.#apiUrl(repository)}/actions/runs/${run.id}`,
      html_url: `${this.#htmlUrl(repository)}/actions/runs/${run.id}`,
    });
  }

  #dispatchBody(): { ref: string; inputs: Record<string, string> } {
    const call = this.#call;
    if ((call.headers['content-type'] ?? '').includes('form-urlencoded')) {
      const form = new URLSearchParams(call.body);
      const named = [...form].flatMap(([key, value]) => {
        const name = /^inputs\[(.+)\]$/.exec(key)?.[1];
        return name === undefined ? [] : [[name, value] as const];
      });
      return { ref: form.get('ref') ?? '', inputs: Object.fromEntries(named) };
    }
    let body: unknown;
    try {
      body = JSON.parse(call.body === '' ? '{}' : call.body);
    } catch (error) {
      throw new ForgeError(422, `[]: Error: Deserialization: ${error instanceof Error ? error.message : ''}`);
    }
    const { ref, inputs = {} } = isTree(body) ? body : {};
    const values = isTree(inputs) ? Object.entries(inputs) : [];
    const wrong = values.find(([, value]) => typeof value !== 'string');
    if (wrong) {
      const what = `json: cannot unmarshal ${typeof wrong[1]} into Go struct field CreateActionWorkflowDispatch.inputs of type string`;
      throw new ForgeError(422, `[]: Error: Deserialization: ${what}`);
    }
    return { ref: typeof ref === 'string' ? ref : '', inputs: Object.fromEntries(values) as Record<string, string> };
  }

  #workflows(repository: Repository): Answer {
    const prefix = `${WORKFLOW_FOLDER}/`;
    const workflows = [...repository.files.keys()]
      .filter((path) => path.startsWith(prefix))
      .map((path) => ({
        id: path.slice(prefix.length),
        name: path.slice(prefix.length),
        path,
        state: 'active',
        url: `${this.#apiUrl(repository)}/actions/workflows/${path.slice(prefix.length)}`,
        html_url: `${this.#htmlUrl(repository)}/src/branch/${repository.branch}/${path}`,
      }));
    return sendJson(this.#call, 200, { workflows, total_count: workflows.length });
  }

  #list(repository: Repository, body: (run: Run) => unknown, test: (run: Run) => boolean = () => true): Answer {
    const { query } = this.#call;
    const wanted = (name: string, value: string) => !query.get(name) || query.get(name) === value;
    // All runs here have the same trigger, actor and commit: these filters let all of them through, or none.
    const letsThrough =
      wanted('event', 'workflow_dispatch') &&
      wanted('actor', USER.login) &&
      wanted('branch', repository.branch) &&
      wanted('head_sha', repository.commit.sha);
    const runs = this.#forge.runs
      .filter((run) => letsThrough && run.repository === repository && test(run))
      .filter(
        (run) => !query.get('status') || [run.status, run.conclusion].includes(query.get('status') as Run['status']),
      )
      .reverse();
    const limit = Math.min(Number(query.get('limit')) || DEFAULT_LIMIT, MAX_LIMIT);
    const start = (Math.max(1, Number(query.get('page')) || 1) - 1) * limit;
    return sendJson(this.#call, 200, {
      workflow_runs: runs.slice(start, start + limit).map(body),
      total_count: runs.length,
    });
  }

  #runBody(run: Run) {
    const { repository } = run;
    return {
      id: run.id,
      url: `${this.#apiUrl(repository)}/actions/runs/${run.id}`,
      html_url: `${this.#htmlUrl(repository)}/actions/runs/${run.id}`,
      display_title: run.title,
      path: `${run.workflow}@${run.ref}`,
      event: 'workflow_dispatch',
      run_attempt: 1,
      run_number: run.number,
      repository_id: repository.id,
      head_sha: repository.commit.sha,
      head_branch: repository.branch,
      status: run.status,
      ...(run.conclusion === undefined ? {} : { conclusion: run.conclusion }),
      actor: USER,
      trigger_actor: USER,
      started_at: time(run.startedAt),
      completed_at: time(run.completedAt),
    };
  }

  #taskBody(run: Run) {
    return {
      id: run.id,
      name: run.workflow.replace(/\.ya?ml$/, ''),
      head_branch: run.repository.branch,
      head_sha: run.repository.commit.sha,
      run_number: run.number,
      event: 'workflow_dispatch',
      display_title: run.title,
      status: run.conclusion ?? (run.status === 'queued' ? 'waiting' : 'running'),
      workflow_id: run.workflow,
      url: `${this.#htmlUrl(run.repository)}/actions/runs/${run.id}`,
      created_at: time(run.createdAt),
      updated_at: time(run.completedAt ?? run.startedAt ?? run.createdAt),
      run_started_at: time(run.startedAt),
    };
  }

  #jobBody(run: Run) {
    const { status, conclusion } = run;
    const outcome = { status, ...(conclusion === undefined ? {} : { conclusion }) };
    const times = { started_at: time(run.startedAt), completed_at: time(run.completedAt) };
    return {
      id: run.id,
      url: `${this.#apiUrl(run.repository)}/actions/jobs/${run.id}`,
      html_url: `${this.#htmlUrl(run.repository)}/actions/runs/${run.id}/jobs/0`,
      run_id: run.id,
      run_url: `${this.#apiUrl(run.repository)}/actions/runs/${run.id}`,
      name: run.workflow.replace(/\.ya?ml$/, ''),
      labels: ['ubuntu-latest'],
      run_attempt: 1,
      head_sha: run.repository.commit.sha,
      head_branch: run.repository.branch,
      ...outcome,
      ...(status === 'queued' ? {} : { runner_id: 1, runner_name: 'runner-1' }),
      steps: status === 'queued' ? [] : [{ name: 'act', number: 0, ...outcome, ...times }],
      created_at: time(run.createdAt),
      ...times,
    };
  }

  #contents(repository: Repository, path: string): Answer {
    const ref = this.#call.query.get('ref');
    if (ref && !this.#forge.hasRef(repository, ref))
      throw new ForgeError(404, `object does not exist [id: ${ref}, rel_path: ]`);
    const text = repository.files.get(path);
    if (text !== undefined) {
      const content = Buffer.from(text).toString('base64');
      return sendJson(this.#call, 200, { ...this.#entry(repository, path, 'file'), encoding: 'base64', content });
    }
    const prefix = path === '' ? '' : `${path}/`;
    const below = [...repository.files.keys()].filter((file) => file.startsWith(prefix));
    if (below.length === 0) {
      throw new ForgeError(404, `object does not exist [id: , rel_path: ${path}]`);
    }
    const names = new Set(below.map((file) => file.slice(prefix.length).split('/')[0] ?? ''));
    const entries = [...names].map((name) => {
      const full = prefix + name;
      return this.#entry(repository, full, repository.files.has(full) ? 'file' : 'dir');
    });
    return sendJson(this.#call, 200, entries);
  }

  #entry(repository: Repository, path: string, type: 'file' | 'dir') {
    const text = repository.files.get(path) ?? '';
    const isFile = type === 'file';
    return {
      name: path.split('/').at(-1),
      path,
      sha: blobId(text),
      last_commit_sha: repository.commit.sha,
      type,
      size: isFile ? Buffer.byteLength(text) : 0,
      encoding: null,
      content: null,
      target: null,
      url: `${this.#apiUrl(repository)}/contents/${path}?ref=${repository.branch}`,
      html_url: `${this.#htmlUrl(repository)}/src/branch/${repository.branch}/${path}`,
      download_url: isFile ? `${this.#htmlUrl(repository)}/raw/branch/${repository.branch}/${path}` : null,
    };
  }

  #repositoryBody(repository: Repository) {
    const { id, owner, name, branch } = repository;
    return {
      id,
      owner: { id, login: owner },
      name,
      full_name: `${owner}/${name}`,
      description: '',
      empty: false,
      private: true,
      archived: false,
      default_branch: branch,
      html_url: this.#htmlUrl(repository),
      url: this.#apiUrl(repository),
      clone_url: `${this.#htmlUrl(repository)}.git`,
      has_actions: true,
      permissions: { admin: true, push: true, pull: true },
    };
  }

  #apiUrl({ owner, name }: Repository): string {
    return `${this.#url}/api/v1/repos/${owner}/${name}`;
  }

  #htmlUrl({ owner, name }: Repository): string {
    return `${this.#url}/${owner}/${name}`;
  }
}

function time(milliseconds: number | undefined): string {
  return milliseconds === undefined ? NO_TIME : new Date(milliseconds).toISOString().replace(/\.\d+Z$/, 'Z');
}
