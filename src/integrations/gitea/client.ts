/** The calls to Gitea's API, over the releases that answer differently. */
import { CatalystError } from '../../errors.ts';
import type { CallContext } from '../contract.ts';
import { isObject } from '../define.ts';
import { endpointOptions } from '../endpoint.ts';
import { createHttpClient, type HttpClient } from '../http-client.ts';
import type { Secrets } from '../secrets.ts';
import type { GiteaConfig } from './schema.ts';

/** A run of a workflow, in the words of all releases. */
export interface WorkflowRun {
  id: number;
  title: string;
  event: string;
  branch: string;
  workflow: string;
  ended: boolean;
  /** `success`, `failure`, `cancelled`, `skipped`; empty while it goes on. */
  conclusion: string;
  url: string;
}

export interface Dispatch {
  repository: string;
  workflow: string;
  ref: string;
  inputs: Record<string, string>;
}

/** Runs looked through for one of ours: the newest come first. */
const listLimit = 50;

export class GiteaClient {
  readonly #http: HttpClient;

  constructor(config: GiteaConfig, secrets: Secrets) {
    const endpoint = endpointOptions('gitea', config, secrets);
    this.#http = createHttpClient({
      ...endpoint,
      system: 'Gitea',
      // Gitea's own scheme; its access tokens are taken as bearer tokens only by newer releases.
      headers: async () => {
        const headers = { ...(await endpoint.headers?.()) };
        const bearer = headers.authorization?.replace(/^Bearer /, 'token ');
        return bearer === undefined ? headers : { ...headers, authorization: bearer };
      },
      explain: (body) => (isObject(body) && typeof body.message === 'string' ? body.message : undefined),
    });
  }

  async version(context: CallContext): Promise<string> {
    const answer = await this.#http.json(context, { path: '/api/v1/version' });
    if (isObject(answer) && typeof answer.version === 'string') return answer.version;
    throw unexpected('its version');
  }

  async repository(context: CallContext, repository: string): Promise<Record<string, unknown>> {
    const answer = await this.#http.json(context, { path: repositoryPath(repository) });
    if (isObject(answer)) return answer;
    throw unexpected('a repository');
  }

  /** Starts a workflow. Returns the id of its run where this release tells it. */
  async dispatch(context: CallContext, { repository, workflow, ref, inputs }: Dispatch): Promise<number | undefined> {
    const path = `${repositoryPath(repository)}/actions/workflows/${encodeURIComponent(workflow)}/dispatches`;
    try {
      const answer = await this.#http.request(context, {
        method: 'POST',
        path,
        query: { return_run_details: 'true' },
        json: { ref, inputs },
      });
      return answer.status === 204 ? undefined : runIdOf(answer.body);
    } catch (error) {
      if (!(error instanceof CatalystError) || error.code !== 'NotFound') throw error;
      throw new CatalystError('NotFound', `Gitea knows no workflow ${workflow} on ${ref} in ${repository}`, {
        cause: error,
        certain: true,
        hint: 'Check the file name and the ref. Gitea before 1.24 cannot be told to start a workflow at all.',
      });
    }
  }

  /** The newest runs that a dispatch started, newest first. */
  async runs(context: CallContext, repository: string): Promise<WorkflowRun[]> {
    const path = `${repositoryPath(repository)}/actions`;
    const query = { event: 'workflow_dispatch', limit: String(listLimit) };
    let answer = await this.#http.request(context, { path: `${path}/runs`, query, accept: [404] });
    // Older releases list tasks only.
    if (answer.status === 404)
      answer = await this.#http.request(context, { path: `${path}/tasks`, query: { limit: String(listLimit) } });
    const body = parseBody(answer.body, 'the list of runs');
    if (!isObject(body) || !Array.isArray(body.workflow_runs)) throw unexpected('the list of runs');
    return body.workflow_runs
      .filter(isObject)
      .map(parseRun)
      .filter(({ event }) => event === 'workflow_dispatch')
      .sort((a, b) => b.id - a.id);
  }

  /** A run, or undefined where this release cannot show a single one. */
  async run(context: CallContext, repository: string, id: number): Promise<WorkflowRun | undefined> {
    const answer = await this.#http.request(context, {
      path: `${repositoryPath(repository)}/actions/runs/${id}`,
      accept: [404],
    });
    if (answer.status === 404) return undefined;
    const body = parseBody(answer.body, 'a run');
    return isObject(body) ? parseRun(body) : undefined;
  }

  close(): void {
    this.#http.close();
  }
}

function repositoryPath(repository: string): string {
  const [owner = '', name = '', ...rest] = repository.split('/');
  const valid = [owner, name].every((part) => /^[A-Za-z0-9_.-]+$/.test(part) && !/^\.+$/.test(part));
  if (valid && rest.length === 0) return `/api/v1/repos/${owner}/${name}`;
  throw new CatalystError('BadRequest', `"${repository}" is not a repository`, { hint: 'Write owner/name.' });
}

function runIdOf(body: string): number | undefined {
  try {
    const answer: unknown = JSON.parse(body);
    return isObject(answer) && typeof answer.workflow_run_id === 'number' ? answer.workflow_run_id : undefined;
  } catch {
    // Started all the same: the run is looked for in the list.
    return undefined;
  }
}

/** Words that mean an end; newer releases say `completed` and give a conclusion beside it. */
const endings = ['success', 'failure', 'cancelled', 'skipped'];

function parseRun(run: Record<string, unknown>): WorkflowRun {
  const status = String(run.status ?? '');
  const ended = status === 'completed' || endings.includes(status);
  const conclusion = String(run.conclusion ?? '') || (endings.includes(status) ? status : '');
  return {
    id: Number(run.id),
    title: String(run.display_title ?? run.name ?? ''),
    event: String(run.event ?? ''),
    branch: String(run.head_branch ?? ''),
    // `remediate.yaml@refs/heads/main` in the list of runs, `remediate.yaml` in that of tasks.
    workflow: String(run.workflow_id ?? run.path ?? '').split('@')[0] ?? '',
    ended,
    conclusion: ended ? conclusion : '',
    url: String(run.html_url ?? run.url ?? ''),
  };
}

function parseBody(body: string, what: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    throw unexpected(what);
  }
}

function unexpected(what: string): CatalystError {
  return new CatalystError('UpstreamRefused', `Gitea answered ${what} in a shape that is not its API's`, {
    hint: 'Check that the address configured is Gitea.',
  });
}
