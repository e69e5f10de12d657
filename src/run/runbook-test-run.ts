/** Runs RunbookTests: each case through the engine's own decisions and executor, in memory. */
import type { CompiledRunbook } from '../catalog/compiled-runbook.ts';
import { parseDuration } from '../catalog/duration.ts';
import type { Mode, Runbook } from '../catalog/kinds/runbook.ts';
import type { RunbookTest, RunbookTestCase } from '../catalog/kinds/runbook-test.ts';
import type { Vocabulary } from '../check/check.ts';
import { VirtualClock } from '../clock.ts';
import { messageOf } from '../errors.ts';
import type { Json } from '../integrations/contract.ts';
import { type GivenWorld, givenWorld } from './given-world.ts';
import { strictestMode } from './prepare.ts';
import { acceptInputs } from './run-service.ts';
import { type SimulatedRun, simulate } from './simulation.ts';

export interface CaseResult {
  name: string;
  /** What was expected and did not come, one sentence each; empty when it passed. */
  failures: string[];
  /** What the run did, for the reader of a failure. */
  journal: string[];
}

export interface RunbookTestPorts {
  vocabulary: Vocabulary;
  find(name: string): Runbook | undefined;
  compile(runbook: Runbook, vocabulary: Vocabulary): CompiledRunbook;
}

export async function runRunbookTest(test: RunbookTest, ports: RunbookTestPorts): Promise<CaseResult[]> {
  const { runbook: name, cases } = test.spec;
  const runbook = ports.find(name);
  if (!runbook)
    return [{ name: test.metadata.name, failures: [`There is no runbook ${name} beside this test.`], journal: [] }];
  const results: CaseResult[] = [];
  for (const one of cases) results.push(await runCase(one, runbook, ports));
  return results;
}

async function runCase(one: RunbookTestCase, document: Runbook, ports: RunbookTestPorts): Promise<CaseResult> {
  const clock = new VirtualClock();
  const world = givenWorld(ports.vocabulary, one.given ?? {}, one.when ?? [], clock);
  const started = clock.now();
  try {
    const runbook = ports.compile(document, world.vocabulary);
    const triggered = isTriggered(runbook, one);
    if (!triggered || one.then.triggered === false) {
      const wanted = one.then.triggered ?? true;
      return {
        name: one.name,
        journal: [],
        failures: triggered === wanted ? [] : [`It ${triggered ? 'is' : 'is not'} triggered.`],
      };
    }
    const result = await simulate(simulationOf(one, runbook, world, clock));
    return {
      name: one.name,
      failures: compare(one, result, world, clock.now() - started),
      journal: result.entries.map((e) => `${e.kind}: ${e.sentence}`),
    };
  } catch (error) {
    return { name: one.name, failures: [messageOf(error)], journal: [] };
  }
}

/** Whether the given alert is one the runbook is for; a case without an alert starts it by hand. */
function isTriggered(runbook: CompiledRunbook, { given }: RunbookTestCase): boolean {
  const labels = given?.alert?.labels;
  if (!labels) return true;
  return runbook.triggers.some(
    (trigger) =>
      trigger.kind === 'alert' &&
      trigger.alertName === labels.alertname &&
      trigger.matchers.every((matcher) => matcher.matches(labels)),
  );
}

function simulationOf(
  one: RunbookTestCase,
  runbook: CompiledRunbook,
  world: GivenWorld,
  clock: VirtualClock,
): Parameters<typeof simulate>[0] {
  const given = one.given ?? {};
  const approvals = [...(given.approvals ?? [])];
  const mode: Mode = strictestMode([given.mode ?? 'Automatic', runbook.mode]);
  const now = clock.now();
  const ran = given.ranBefore === undefined ? undefined : now - (parseDuration(given.ranBefore) ?? 0);
  return {
    runbook,
    world,
    clock,
    mode,
    inputs: acceptInputs(runbook, (given.inputs ?? {}) as Record<string, Json>),
    history: ran === undefined ? [] : [{ actedAt: ran, endedAt: ran }],
    ...(given.alert
      ? {
          alert: {
            id: 'alert',
            name: given.alert.labels.alertname ?? '',
            fingerprint: '0123456789abcdef',
            labels: given.alert.labels,
            annotations: given.alert.annotations ?? {},
            generatorUrl: '',
            startsAt: now,
          },
        }
      : {}),
    decide: () => {
      const said = approvals.shift() ?? 'approve';
      return said === 'approve' ? 'Approved' : said === 'reject' ? 'Rejected' : undefined;
    },
    // A dead process commits nothing; the next one starts from what was committed.
    crash: (_entry, moment) => {
      if (moment === 'after' || !world.crashed) return false;
      world.crashed = false;
      return true;
    },
  };
}

function compare(
  { then }: RunbookTestCase,
  { entries, pages }: SimulatedRun,
  world: GivenWorld,
  took: number,
): string[] {
  const end = entries.at(-1);
  const [outcome, reason] = end?.kind === 'Ended' ? [end.data.outcome, end.data.reason] : [undefined, undefined];
  const failures: string[] = [];
  const expect = (what: string, wanted: unknown, got: unknown) => {
    if (wanted !== undefined && wanted !== got)
      failures.push(`${what}: wanted ${wanted}, got ${got} (${end?.sentence ?? 'it did not end'})`);
  };
  expect('outcome', then.outcome, outcome);
  expect('reason', then.reason, reason);
  expect('paged', then.paged, then.paged === undefined ? undefined : pages.length > 0);
  if (then.actions) {
    const wrong =
      world.effects.length !== then.actions.length ||
      then.actions.some((wanted, i) => !isAction(wanted, world.effects[i]));
    if (wrong)
      failures.push(
        `actions: wanted ${JSON.stringify(then.actions)}, got ${JSON.stringify(world.effects.map(({ text }) => text))}`,
      );
  }
  const limit = then.within === undefined ? undefined : parseDuration(then.within);
  if (limit !== undefined && took > limit) failures.push(`within: wanted ${then.within}, took ${took / 1000}s`);
  return failures;
}

function isAction(wanted: string, got: { action: string; text: string } | undefined): boolean {
  return got !== undefined && (wanted === got.action || wanted === got.text);
}
