/**
 * `gitea dispatch`: starts a workflow and follows it to its end. Gitea 1.24 cancels a running workflow when the same one
 * is started again on the same ref, so that two remediations would kill each other: one at a time, here and there.
 */
import Type from 'typebox';
import { CatalystError } from '../../errors.ts';
import type { ActionDefinition, EffectContext, Happened } from '../contract.ts';
import { defineAction } from '../define.ts';
import type { GiteaClient, WorkflowRun } from './client.ts';

/** How often a run is looked at. Runners ask for work every two seconds, so more often shows nothing new. */
const pollMs = 3_000;
/** The input that carries our key into the run's name. */
const executionInput = 'execution_id';

const Input = Type.Object(
  {
    repository: Type.String({
      description: 'Repository, owner/name.',
      pattern: '^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$',
      maxLength: 256,
      examples: ['acme/runbooks'],
    }),
    workflow: Type.String({
      description: 'File name of the workflow.',
      pattern: '^[A-Za-z0-9_.-]+\\.ya?ml$',
      maxLength: 128,
      examples: ['remediate.yaml'],
    }),
    ref: Type.Optional(
      Type.String({
        description: 'Branch or tag. Default main.',
        pattern: '^[A-Za-z0-9][A-Za-z0-9_./-]*$',
        maxLength: 256,
        examples: ['main'],
      }),
    ),
    inputs: Type.Optional(
      Type.Record(Type.String(), Type.String({ maxLength: 4096 }), {
        description: `Inputs of the workflow; all are texts. ${executionInput} is added.`,
        maxProperties: 32,
      }),
    ),
  },
  { additionalProperties: false, description: 'Which workflow to start.' },
);

type DispatchInput = { repository: string; workflow: string; ref?: string; inputs?: Record<string, string> };
/** The newest run there was before: what is newer may be ours. */
type Before = { newest: number };

export function dispatchAction(client: () => GiteaClient): ActionDefinition {
  const locks = new Map<string, Promise<unknown>>();
  return defineAction<typeof Input, Before>({
    name: 'gitea dispatch',
    description: 'Starts a workflow of Gitea Actions and waits for its end.',
    input: Input,
    positional: ['repository', 'workflow'],
    example: 'gitea dispatch acme/runbooks remediate.yaml --ref main',
    effects: ['Change'],
    effect: () => 'Change',
    // Where run names do not carry the key, a second dispatch would be a second run.
    idempotent: false,
    describe: (input) => `Start ${input.workflow} of ${input.repository} on ${refOf(input)}`,
    capture: async (context, input) => ({ newest: (await client().runs(context, input.repository))[0]?.id ?? 0 }),
    execute: (context, input, before) =>
      inTurn(locks, `${input.repository} ${refOf(input)} ${input.workflow}`, context.signal, async () => {
        const run = await startOnce(context, client(), input, before);
        const ended = await untilEnd(context, client(), input, run);
        if (ended.conclusion === 'success') {
          return { sentence: `Ran ${input.workflow} of ${input.repository} to success`, result: resultOf(ended) };
        }
        throw new CatalystError(
          'UpstreamRefused',
          `${input.workflow} of ${input.repository} ended with ${ended.conclusion}`,
          {
            certain: false,
            details: { runId: ended.id, conclusion: ended.conclusion, url: ended.url },
            hint: `Read the log of run ${ended.id} in Gitea.`,
          },
        );
      }),
    happened: (context, input, before) => happened(context, client(), input, before),
  });
}

const refOf = (input: DispatchInput): string => input.ref ?? 'main';
const resultOf = ({ id, conclusion, url }: WorkflowRun) => ({ runId: id, conclusion, url });

const isOurs = (run: WorkflowRun, key: string): boolean => run.title.split(/\s+/).includes(key);

function ofSameWorkflow(run: WorkflowRun, input: DispatchInput): boolean {
  const branch = refOf(input).replace(/^refs\/(heads|tags)\//, '');
  return run.workflow === input.workflow && (run.branch === branch || run.branch === refOf(input));
}

async function startOnce(
  context: EffectContext,
  client: GiteaClient,
  input: DispatchInput,
  before: Before,
): Promise<WorkflowRun> {
  const adopted = await waitForTurn(context, client, input);
  if (adopted !== undefined) return adopted;
  const { repository, workflow } = input;
  const inputs = { ...input.inputs, [executionInput]: context.idempotencyKey };
  const newest = Math.max(before.newest, (await client.runs(context, repository))[0]?.id ?? 0);
  const id = await client.dispatch(context, { repository, workflow, ref: refOf(input), inputs });
  return afterStart(context, input, async () => {
    for (;;) {
      const run = id === undefined ? undefined : await client.run(context, repository, id);
      const found =
        run ??
        (await client.runs(context, repository)).find((one) => one.id === id || isStarted(one, context, input, newest));
      if (found !== undefined) return found;
      await context.clock.sleep(pollMs, context.signal);
    }
  });
}

/** The run a dispatch just started: it carries our key, or is the first newer one of the workflow where names carry none. */
function isStarted(run: WorkflowRun, context: EffectContext, input: DispatchInput, newest: number): boolean {
  return isOurs(run, context.idempotencyKey) || (run.id > newest && ofSameWorkflow(run, input));
}

/** Waits until no run of this workflow goes on. Returns our own run when there is one already. */
async function waitForTurn(
  context: EffectContext,
  client: GiteaClient,
  input: DispatchInput,
): Promise<WorkflowRun | undefined> {
  for (;;) {
    const runs = await client.runs(context, input.repository);
    const own = runs.find((run) => isOurs(run, context.idempotencyKey));
    if (own !== undefined) return own;
    const busy = runs.find((run) => !run.ended && ofSameWorkflow(run, input));
    if (busy === undefined) return undefined;
    await context.clock.sleep(pollMs, context.signal).catch((cause: unknown) => {
      throw new CatalystError(
        'TimedOut',
        `run ${busy.id} of ${input.workflow} was still going on when the time was up`,
        {
          cause,
          certain: true,
          hint: 'Starting another would cancel it. Wait for it, or cancel it in Gitea.',
        },
      );
    });
  }
}

async function untilEnd(
  context: EffectContext,
  client: GiteaClient,
  input: DispatchInput,
  started: WorkflowRun,
): Promise<WorkflowRun> {
  let run = started;
  return afterStart(context, input, async () => {
    while (!run.ended) {
      await context.clock.sleep(pollMs, context.signal);
      const listed = async () => (await client.runs(context, input.repository)).find(({ id }) => id === started.id);
      run = (await client.run(context, input.repository, started.id)) ?? (await listed()) ?? run;
    }
    return run;
  });
}

/** From the dispatch on every failure leaves the outcome open. */
async function afterStart<T>(context: EffectContext, input: DispatchInput, follow: () => Promise<T>): Promise<T> {
  try {
    return await follow();
  } catch (cause) {
    if (context.signal.aborted) {
      throw new CatalystError(
        'TimedOut',
        `${input.workflow} of ${input.repository} had not ended when the time was up`,
        { cause, certain: false },
      );
    }
    if (!(cause instanceof CatalystError)) throw cause;
    throw new CatalystError(cause.code, cause.message, { cause, details: cause.details, certain: false });
  }
}

async function happened(
  context: EffectContext,
  client: GiteaClient,
  input: DispatchInput,
  before: Before,
): Promise<Happened> {
  const runs = await client.runs(context, input.repository);
  const own = runs.find((run) => isOurs(run, context.idempotencyKey));
  if (own === undefined) {
    const newer = runs.find((run) => run.id > before.newest && ofSameWorkflow(run, input));
    if (newer === undefined) return { answer: 'no', sentence: `no run of ${input.workflow} was started since` };
    return {
      answer: 'unknown',
      sentence: `run ${newer.id} of ${input.workflow} was started since, and does not say by whom`,
    };
  }
  const ended = own.ended ? own : await untilEnd(context, client, input, own).catch(() => own);
  if (!ended.ended)
    return { answer: 'unknown', sentence: `run ${own.id} was started by this step and is still going on` };
  if (ended.conclusion !== 'success')
    return { answer: 'unknown', sentence: `run ${own.id} was started by this step and ended with ${ended.conclusion}` };
  return { answer: 'yes', sentence: `run ${own.id} was started by this step and succeeded`, result: resultOf(ended) };
}

/** One after the other per key. Waiting ends with the signal, certainly before anything was done. */
async function inTurn<T>(
  locks: Map<string, Promise<unknown>>,
  key: string,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  const previous = locks.get(key) ?? Promise.resolve();
  const { promise, resolve } = Promise.withResolvers<void>();
  const own = previous.then(() => promise);
  locks.set(key, own);
  try {
    await Promise.race([previous, whenAborted(signal)]);
    return await work();
  } finally {
    resolve();
    if (locks.get(key) === own) locks.delete(key);
  }
}

function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const stop = () =>
      reject(new CatalystError('TimedOut', 'another dispatch of this workflow did not end in time', { certain: true }));
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}
