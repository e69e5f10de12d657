/** Gitea's repositories and the runs of its Actions. */
import { createHash } from 'node:crypto';
import { load } from 'js-yaml';
import type { Clock } from '../../src/clock.ts';
import { isTree, type Tree } from '../kubernetes/object.ts';
import type { Pace } from '../pace.ts';

export interface Repository {
  id: number;
  owner: string;
  name: string;
  branch: string;
  commit: { sha: string; subject: string };
  files: Map<string, string>;
}

export interface Run {
  id: number;
  number: number;
  repository: Repository;
  workflow: string;
  ref: string;
  title: string;
  inputs: Record<string, string>;
  status: 'queued' | 'in_progress' | 'completed';
  conclusion?: 'success' | 'failure' | 'cancelled';
  createdAt: number;
  startedAt?: number;
  completedAt?: number;
}

/** A refusal, with its HTTP status. */
export class ForgeError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export const WORKFLOW_FOLDER = '.gitea/workflows';

const REMEDIATE = `name: remediate
run-name: "rem \${{ inputs.execution_id }}"
on:
  workflow_dispatch:
    inputs:
      execution_id: { description: Run that asks, default: none }
      action: { description: What to do, default: noop }
      target: { description: On what, default: "" }
jobs:
  remediate:
    runs-on: ubuntu-latest
    steps:
      - name: act
        run: ./remediate.sh "\${{ inputs.action }}" "\${{ inputs.target }}"
`;

const FAILING = `name: failing
on: { workflow_dispatch: {} }
jobs:
  failing:
    runs-on: ubuntu-latest
    steps:
      - name: act
        run: exit 1
`;

const RUNBOOK = `apiVersion: catalyst.openova.io/v1alpha1
kind: Runbook
metadata:
  name: openbao-sealed
  namespace: catalyst-system
spec:
  triggers:
    - alertName: OpenBaoSealed
  preconditions:
    - check: spire.server.healthy
    - check: openbao.unseal.shamir.shares.available
  steps:
    - run: openbao operator unseal --auto-shamir
    - verify: openbao.status.sealed == false
  rollback: page-oncall
`;

const REPOSITORIES: [owner: string, name: string, files: Record<string, string>][] = [
  ['system', 'runbooks', { 'README.md': '# Runbooks of the Sovereign\n', 'runbooks/openbao-sealed.yaml': RUNBOOK }],
  ['acme', 'runbooks', { 'README.md': '# Runbooks of acme\n' }],
  [
    'acme',
    'platform',
    {
      'README.md': '# Platform of acme\n',
      [`${WORKFLOW_FOLDER}/remediate.yaml`]: REMEDIATE,
      [`${WORKFLOW_FOLDER}/failing.yaml`]: FAILING,
    },
  ],
];

/** The id Git gives a blob. */
export function blobId(text: string): string {
  const bytes = Buffer.from(text);
  return createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
}

export class Forge {
  readonly repositories: Repository[];
  readonly runs: Run[] = [];
  /** Gitea as it was around 1.24: no run details, no run names, and a dispatch cancels the one before. */
  readonly legacy: boolean;
  readonly #clock: Clock;
  readonly #pace: Pace;

  constructor(clock: Clock, pace: Pace, legacy = false) {
    this.#clock = clock;
    this.#pace = pace;
    this.legacy = legacy;
    this.repositories = REPOSITORIES.map(([owner, name, files], at) => ({
      id: at + 1,
      owner,
      name,
      branch: 'main',
      commit: { sha: createHash('sha1').update(`${owner}/${name}`).digest('hex'), subject: 'Set the repository up' },
      files: new Map(Object.entries(files)),
    }));
  }

  find(owner: string | undefined, name: string | undefined): Repository | undefined {
    const same = (a: string, b = '') => a.toLowerCase() === b.toLowerCase();
    return this.repositories.find((repository) => same(repository.owner, owner) && same(repository.name, name));
  }

  /** Whether a ref names the one branch there is; other branches and tags do not exist here. */
  hasRef(repository: Repository, ref: string): boolean {
    return [repository.branch, `refs/heads/${repository.branch}`, repository.commit.sha].includes(ref);
  }

  /** Starts a run of a workflow. */
  dispatch(repository: Repository, workflow: string, ref: string, given: Record<string, string>): Run {
    if (!this.hasRef(repository, ref)) throw new ForgeError(404, `ref ${JSON.stringify(ref)} doesn't exist`);
    const text = repository.files.get(`${WORKFLOW_FOLDER}/${workflow}`);
    if (text === undefined) throw new ForgeError(404, `workflow ${JSON.stringify(workflow)} doesn't exist`);
    const definition = load(text) as Tree;
    const trigger = isTree(definition.on) ? definition.on.workflow_dispatch : undefined;
    if (trigger === undefined)
      throw new ForgeError(422, `workflow ${JSON.stringify(workflow)} has no workflow_dispatch`);
    const declared = isTree(trigger) && isTree(trigger.inputs) ? trigger.inputs : {};
    // Inputs nobody declared are dropped; those not given have their defaults.
    const inputs = Object.fromEntries(
      Object.entries(declared).map(([name, input]) => [name, given[name] ?? String((input as Tree).default ?? '')]),
    );
    if (this.legacy) this.#cancelRunning(repository, workflow);
    const template = this.legacy ? undefined : definition['run-name'];
    const title = typeof template === 'string' ? interpolate(template, inputs) : repository.commit.subject;
    const run: Run = {
      id: this.runs.length + 1,
      number: this.runs.filter((other) => other.repository === repository).length + 1,
      repository,
      workflow,
      ref: ref.startsWith('refs/') ? ref : `refs/heads/${repository.branch}`,
      title,
      inputs,
      status: 'queued',
      createdAt: this.#clock.now(),
    };
    this.runs.push(run);
    return run;
  }

  /** Lets runners work: queued runs start, running ones end. */
  tick(): void {
    const now = this.#clock.now();
    for (const run of this.runs) {
      if (run.status === 'queued' && now - run.createdAt >= this.#pace.queueMs) {
        run.status = 'in_progress';
        run.startedAt = now;
      } else if (run.status === 'in_progress' && now - (run.startedAt ?? now) >= this.#pace.runMs) {
        const text = run.repository.files.get(`${WORKFLOW_FOLDER}/${run.workflow}`) ?? '';
        this.#end(run, /run: exit [1-9]/.test(text) ? 'failure' : 'success');
      }
    }
  }

  #cancelRunning(repository: Repository, workflow: string): void {
    for (const run of this.runs) {
      if (run.repository === repository && run.workflow === workflow && run.status !== 'completed') {
        this.#end(run, 'cancelled');
      }
    }
  }

  #end(run: Run, conclusion: NonNullable<Run['conclusion']>): void {
    run.status = 'completed';
    run.conclusion = conclusion;
    run.completedAt = this.#clock.now();
  }
}

function interpolate(template: string, inputs: Record<string, string>): string {
  return template.replace(/\$\{\{\s*inputs\.(\w+)\s*\}\}/g, (_, name: string) => inputs[name] ?? '');
}
