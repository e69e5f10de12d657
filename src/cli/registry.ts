/**
 * What the command line needs of the rest of the house, declared by the command line. Each function is looked up when
 * its command runs, so that `--help` and completion load nothing; a command whose function is not there is not offered.
 */
import type { DrillEvent, DrillResult } from '../api/ports.ts';
import type { Problem } from '../catalog/resource.ts';
import type { Replayed } from '../run/backtest.ts';
import type { ExplanationView } from '../run/explain.ts';
import type { CliIo } from './io.ts';

export type { DrillEvent, DrillResult } from '../api/ports.ts';

export interface ServeOptions {
  config?: string | undefined;
  sandbox: boolean;
  dataDir?: string | undefined;
  listen?: string | undefined;
  drills: boolean;
}

export interface LintReport {
  /** Documents that were read. */
  documents: number;
  problems: readonly Problem[];
}

/** A runbook in words, for the person who will be woken by it. */
export interface Explanation {
  name: string;
  file: string;
  line: number;
  description?: string | undefined;
  mode: string;
  triggers: readonly string[];
  target?: string | undefined;
  preconditions: readonly { check: string; description?: string | undefined; facts: readonly string[] }[];
  steps: readonly {
    name: string;
    kind: 'run' | 'verify' | 'wait' | 'approve';
    /** What it does, limits included, as a sentence. */
    sentence: string;
    /** What it may do to the world. */
    effects: readonly string[];
    facts: readonly string[];
    undo?: string | undefined;
  }[];
  rollback: string;
  guards: readonly string[];
}

export interface TestReport {
  cases: readonly {
    file: string;
    line: number;
    name: string;
    passed: boolean;
    /** What was expected and what came, where it failed. */
    sentence?: string | undefined;
    /** ms */
    took: number;
  }[];
}

export interface BacktestQuestion {
  /** Files of an event recorder's lines or of webhook bodies; `-` is standard input. */
  from: readonly string[];
  /** Address of a Prometheus whose ALERTS are read. */
  prometheus?: string | undefined;
  /** Window before now and distance of samples, as durations. */
  since: string;
  step: string;
  /** Other runbooks to compare with: a folder, or `REVISION:PATH` of the Git repository one stands in. */
  against?: string | undefined;
  /** Configuration whose modes and Organizations count; everything is Automatic without. */
  config?: string | undefined;
  /** Spent share of every budget. */
  budgetSpent?: number | undefined;
}

export interface BacktestReport {
  /** Reports of alerts that were read, and firings among them. */
  sightings: number;
  from: string | undefined;
  to: string | undefined;
  firings: readonly ReplayedView[];
  /** Only those that differ from what the other runbooks would have done. */
  changes?: readonly { before: ReplayedView; after: ReplayedView }[] | undefined;
  /** What had to be taken for granted. */
  assumptions: readonly string[];
  /** What of the history could not be read. */
  problems: readonly string[];
}

/** What would have been done about one firing; times as RFC 3339. */
export type ReplayedView = Omit<Replayed, 'at' | 'startsAt' | 'endsAt'> & {
  at: string;
  startsAt: string;
  endsAt?: string | undefined;
};
export interface GateOptions {
  group: string;
  controller: string;
  /** Whose gate is followed; by what is protected when it is not said. */
  layer?: 'traffic' | 'mesh' | 'stateful';
  /** File with the keys the controller's answers have to be signed by. */
  keyFile?: string;
  listen: string;
  /** `LISTEN=TARGET` pairs. */
  protect: readonly string[];
}

/** Whether a record file is what was written. */
export interface RecordVerdict {
  intact: boolean;
  entries: number;
  head?: string;
  brokenAt?: number;
  sentence?: string;
}

export interface RenderedFile {
  /** Relative to `--out`. */
  path: string;
  text: string;
}

export interface RenderReport {
  files: readonly RenderedFile[];
  /** What is wrong with what they are made from; with an error there are no files. */
  problems: readonly Problem[];
}

/** What a generator is told; each takes what it needs. */
export interface RenderOptions {
  /** Files and folders with documents that go before those of the handbook. */
  from: readonly string[];
  receiverUrl?: string | undefined;
  tokenFile?: string | undefined;
  heartbeatUrl?: string | undefined;
  giteaUrl?: string | undefined;
  alertmanagerVersion?: string | undefined;
}

/** An SLO or an alert rule in words. */
export interface SloExplanation {
  name: string;
  file: string;
  line: number;
  sentences: readonly string[];
}

export interface ProbeOptions {
  config: string;
  listen: string;
  once: boolean;
}

export interface WitnessServeOptions {
  listen: string;
  data: string;
  config?: string | undefined;
  /** `name=ed25519:…` */
  region: readonly string[];
}

export interface WitnessCheckReport {
  witness: string;
  passed: boolean;
  results: readonly { name: string; outcome: 'passed' | 'failed' | 'cannot-tell'; sentence: string }[];
  /** ms */
  latency: { p50: number; max: number };
  slow: boolean;
}

export interface WitnessAnswerView {
  witness: string;
  /** ms */
  tookMs: number;
  lease?: Record<string, unknown> | null | undefined;
  expired?: boolean | null | undefined;
  error?: string | undefined;
}

/** The commands below `catalyst-sre witness`. */
export interface WitnessCommands {
  /** Resolves when the service has stopped. */
  serve(options: WitnessServeOptions, io: CliIo): Promise<void>;
  /** Checks each witness of a configuration, or the one named. */
  check(path: string, witness: string | undefined, io: CliIo): Promise<readonly WitnessCheckReport[]>;
  /** What each witness of a configuration holds for a group. */
  get(path: string, group: string, io: CliIo): Promise<readonly WitnessAnswerView[]>;
  /** Writes a new private key to a file that is not there yet, and returns the public one. */
  newKey(file: string): Promise<string>;
}

export interface Registry {
  version: string;
  witness?: WitnessCommands;
  /** Resolves when the server has stopped. */
  serve?(options: ServeOptions, io: CliIo): Promise<void>;
  /** Resolves when the prober has stopped, or has probed once: whether every target was well. */
  probe?(options: ProbeOptions, io: CliIo): Promise<boolean>;
  /** The failover controller of one region; resolves when it has stopped. */
  failover?(options: { config: string }, io: CliIo): Promise<void>;
  /** The gate beside a workload; resolves when it has stopped. */
  gate?(options: GateOptions, io: CliIo): Promise<void>;
  /** What publishes a group's hosts: k8gb objects, and PowerDNS records where addresses (`REGION=IPv4`) are given. */
  failoverDns?(path: string, addresses: readonly string[]): Promise<string>;
  /** Recomputes the chain of a controller's record file. */
  verifyFailoverRecord?(path: string): Promise<RecordVerdict>;
  /** Everything that is wrong with a configuration file. */
  checkConfig?(path: string): Promise<readonly Problem[]>;
  lintRunbooks?(paths: readonly string[]): Promise<LintReport>;
  /** Problems where a document cannot be explained. */
  explainRunbooks?(
    paths: readonly string[],
  ): Promise<{ explanations: readonly Explanation[]; problems: readonly Problem[] }>;
  /** What would be done about an alert, in a world that is given or through the integrations of a configuration. */
  explainAlert?(
    paths: readonly string[],
    question: {
      labels?: Readonly<Record<string, string>> | undefined;
      inputs: Readonly<Record<string, string | number | boolean>>;
      /** File with a world as tests give it. */
      given?: string | undefined;
      /** Configuration file whose integrations are asked. */
      config?: string | undefined;
      organization?: string | undefined;
    },
    signal: AbortSignal,
  ): Promise<ExplanationView>;
  testRunbooks?(paths: readonly string[], signal: AbortSignal): Promise<TestReport>;
  /** What runbooks would have done about alerts of the past. */
  backtestRunbooks?(paths: readonly string[], question: BacktestQuestion, signal: AbortSignal): Promise<BacktestReport>;
  listDrills?(): Promise<readonly { name: string; description: string }[]>;
  /** Whether it runs between two pocket regions on this machine, whatever server there is. */
  isFailoverDrill?(name: string): Promise<boolean>;
  /** Throws NotFound for a name that is none. */
  runDrill?(
    name: string,
    onEvent: (event: DrillEvent) => void,
    signal: AbortSignal,
    options?: { speed?: number },
  ): Promise<DrillResult>;
  lintSlos?(paths: readonly string[]): Promise<LintReport>;
  explainSlos?(
    paths: readonly string[],
  ): Promise<{ explanations: readonly SloExplanation[]; problems: readonly Problem[] }>;
  testSlos?(paths: readonly string[], signal: AbortSignal): Promise<TestReport>;
  /** Generators by name: `crds`, `rbac`. */
  renderers?: Readonly<Record<string, { description: string; render(options: RenderOptions): Promise<RenderReport> }>>;
}
