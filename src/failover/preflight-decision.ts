/**
 * Pre-flight checks of a group as a whole, each a verdict and a sentence. Pure. What cannot be found out, and what a takeover
 * of a lost region must not fail for, is `advice`: it is told, and keeps nobody from acting.
 */
import type { CheckResult } from './layers/layer.ts';
import type { RecordedFailoverEntry } from './record-file.ts';

const dayMs = 86_400_000;
/** A drill a quarter: what nobody has done for longer nobody knows how to do. */
const drillMaxAgeMs = 90 * dayMs;
/** A daily backup, and two hours for it to be made. */
const backupMaxAgeMs = 26 * 3_600_000;
/** Clocks further apart than this are not kept by anybody; messages are refused from 30 s on. */
const clockLimitMs = 1_000;

/** Modes that wait for people need as many who can be told from each other. */
export function approversCheck(mode: string, names: readonly string[]): CheckResult {
  const needed = mode === 'Manual' ? 2 : mode === 'SemiAutomatic' ? 1 : 0;
  const known = new Set(names).size;
  const check = 'approvers';
  if (known >= needed)
    return { check, verdict: 'passed', sentence: `${known} people can approve; mode ${mode} takes ${needed}.` };
  const sentence = `Mode ${mode} takes ${needed} different people, and ${known} have a token ("tokens").`;
  return { check, verdict: 'failed', sentence, advice: true };
}

/** When the group last moved into or out of this region: a drill, a switchover or the real thing. Entries oldest first. */
export function drillCheck(entries: readonly RecordedFailoverEntry[], now: number): CheckResult {
  const check = 'last-drill';
  const moved = entries.findLast(
    ({ kind, facts }) =>
      kind === 'released' || (kind === 'intent' && ['takeover', 'handover'].includes(String(kindOf(facts)))),
  );
  if (!moved)
    return {
      ...{ check, verdict: 'failed', advice: true },
      sentence: 'The group has never moved, as far as the record goes: nobody knows that it can. Do a switchover.',
    };
  const age = now - Date.parse(moved.at);
  const sentence = `The group last moved ${days(age)} ago.`;
  return age <= drillMaxAgeMs
    ? { check, verdict: 'passed', sentence }
    : { check, verdict: 'failed', sentence: `${sentence} At most 90 days.`, advice: true };
}

function kindOf(facts: unknown): unknown {
  return typeof facts === 'object' && facts !== null && 'kind' in facts ? facts.kind : undefined;
}

/** `last`: when the last backup ended, RFC 3339; undefined where nothing says so. */
export function backupCheck(check: string, what: string, last: string | undefined, now: number): CheckResult {
  const at = last === undefined ? Number.NaN : Date.parse(last);
  if (Number.isNaN(at))
    return { check, verdict: 'unknown', sentence: `${what}: no backup is known of in this region.`, advice: true };
  const age = now - at;
  const sentence = `${what}: the last backup is ${days(age)} old.`;
  return age <= backupMaxAgeMs
    ? { check, verdict: 'passed', sentence }
    : { check, verdict: 'failed', sentence: `${sentence} At most 26 hours.`, advice: true };
}

function days(ms: number): string {
  return ms < 2 * dayMs ? `${Math.max(0, Math.round(ms / 3_600_000))} hours` : `${Math.floor(ms / dayMs)} days`;
}

/** A `Date` header: which second it was there, somewhen between our question and its answer. Times of day, ms. */
export interface HeardDate {
  sentAt: number;
  receivedAt: number;
  date: number;
}

/** Only what is certain counts: a slow answer and a header in whole seconds say less, and never too much. */
export function clockCheck(what: string, heard: HeardDate | undefined, now: number): CheckResult {
  const check = 'clocks';
  if (heard === undefined || now - heard.receivedAt > 10 * 60_000)
    return {
      check,
      verdict: 'unknown',
      sentence: `The clock of ${what} was not heard of for ten minutes.`,
      advice: true,
    };
  const { sentAt, receivedAt, date } = heard;
  const [least, most] = [date - receivedAt, date + 999 - sentAt];
  const apart = Math.max(least, -most, 0);
  if (apart <= clockLimitMs)
    return { check, verdict: 'passed', sentence: `The clock of ${what} is not known to be apart from ours.` };
  const way = least > 0 ? 'ahead of' : 'behind';
  return {
    check,
    verdict: 'failed',
    sentence: `The clock of ${what} is at least ${(apart / 1000).toFixed(1)} s ${way} ours; at most ${clockLimitMs / 1000} s. Keep both by a time daemon.`,
  };
}

/** What a resolver makes of a question that is asked twice. */
export type Caching = 'fresh' | 'cached' | 'unknown';

/** Evidence that is kept by a resolver is older than it looks. */
export function cachingCheck(found: readonly { resolver: string; caching: Caching }[]): CheckResult {
  const check = 'probe-caching';
  const named = (caching: Caching) => found.filter((one) => one.caching === caching).map(({ resolver }) => resolver);
  const [cached, unknown] = [named('cached'), named('unknown')];
  if (cached.length > 0)
    return {
      check,
      verdict: 'failed',
      sentence: `Kept by ${cached.join(', ')}: the answers of our probe zone, whose TTL is 0. Its evidence is old; use another resolver.`,
    };
  if (unknown.length > 0)
    return { check, verdict: 'unknown', sentence: `No two answers through ${unknown.join(', ')}.`, advice: true };
  return { check, verdict: 'passed', sentence: 'No resolver keeps the answers of our probe zone.' };
}

/** A pod as far as its place is concerned. */
export interface PodPlace {
  name: string;
  phase: string;
  unschedulable: boolean;
  /** Reasons its containers wait for. */
  waiting: readonly string[];
}

/** What of a quota is used up, as numbers of the same unit. */
export interface QuotaUse {
  name: string;
  resource: string;
  used: number;
  hard: number;
}

const imageReasons: ReadonlySet<string> = new Set(['ImagePullBackOff', 'ErrImagePull', 'InvalidImageName']);

/** Whether a namespace of the group could run what it has to when the other region is gone. */
export function capacityCheck(namespace: string, pods: readonly PodPlace[], quotas: readonly QuotaUse[]): CheckResult {
  const check = 'capacity';
  const homeless = [
    ...pods.filter(({ unschedulable }) => unschedulable).map(({ name }) => `no node has room for pod ${name}`),
    ...pods
      .filter(({ waiting }) => waiting.some((reason) => imageReasons.has(reason)))
      .map(({ name }) => `the image of pod ${name} cannot be pulled`),
  ];
  const full = quotas
    .filter(({ used, hard }) => used >= hard)
    .map(({ name, resource, used, hard }) => `quota ${name} is used up: ${resource} ${used} of ${hard}`);
  const wrong = [...homeless, ...full];
  if (wrong.length === 0)
    return { check, verdict: 'passed', sentence: `Namespace ${namespace}: every pod has a place and an image.` };
  const more = wrong.length > 3 ? `, and ${wrong.length - 3} more` : '';
  const sentence = `Namespace ${namespace}: ${wrong.slice(0, 3).join('; ')}${more}.`;
  // A quota may be cut to measure: then everything that is to run does already.
  return { check, verdict: 'failed', sentence, ...(homeless.length === 0 ? { advice: true } : {}) };
}
