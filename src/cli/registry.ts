/**
 * What the command line needs of the rest of the house, declared by the command line. Each function is looked up when
 * its command runs, so that `--help` and completion load nothing; a command whose function is not there is not offered.
 */
import type { Problem } from '../catalog/resource.ts';
import type { CliIo } from './io.ts';

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

export interface DrillEvent {
  /** Since the start of the drill, ms. */
  at: number;
  kind: 'fault' | 'alert' | 'incident' | 'decision' | 'action' | 'verification' | 'page' | 'note' | 'problem';
  sentence: string;
}

export interface DrillResult {
  passed: boolean;
  /** What the drill showed, or what went otherwise than it should. */
  sentence: string;
  /** ms */
  took: number;
  /** What was measured: `time to detect` -> `1.2s`. */
  measured: Readonly<Record<string, string>>;
}

export interface GateOptions {
  group: string;
  controller: string;
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
  testRunbooks?(paths: readonly string[], signal: AbortSignal): Promise<TestReport>;
  listDrills?(): Promise<readonly { name: string; description: string }[]>;
  /** Throws NotFound for a name that is none. */
  runDrill?(
    name: string,
    onEvent: (event: DrillEvent) => void,
    signal: AbortSignal,
    options?: { speed?: number },
  ): Promise<DrillResult>;
  /** Generators by name: `crds`, `rbac`. */
  renderers?: Readonly<Record<string, { description: string; render(): Promise<readonly RenderedFile[]> }>>;
}
