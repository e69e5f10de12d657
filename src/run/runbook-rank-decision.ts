/** Which runbook to look at first for an incident, and why. Pure. What runs by itself is decided by triggers (`dispatch.ts`). */
import { type Share, saidShare } from '../incident/share.ts';

/** How a runbook comes to be shown. */
export type RunbookMatch =
  /** It names an alert of the incident, and so many matchers hold. */
  | { kind: 'Alert'; alertName: string; matchers: number }
  /** It is started by incidents of this type. */
  | { kind: 'Incident'; type: string }
  /** The IncidentType names it. */
  | { kind: 'Listed'; position: number };

export type RunbookHealth = 'Good' | 'Untried' | 'Failing' | 'OldVersion';

export interface Candidate {
  name: string;
  match: RunbookMatch;
  /** Whether the engine takes this one for the alert. */
  chosen: boolean;
  /** Of the incidents of this type in which it acted, those it fixed, verified. */
  success: Share;
  health: { state: RunbookHealth; sentence: string };
  /** When its last run began, milliseconds since the epoch. */
  lastRunAt: number | undefined;
  /** The guard that would hold it back now. */
  suppressed: { reason: string; sentence: string } | undefined;
}

/** Best first, each with its place and the reason for it. */
export function rankRunbooks<C extends Candidate>(candidates: readonly C[]): (C & { sentence: string })[] {
  const sorted = [...candidates].sort((a, b) => rules.reduce((order, rule) => order || rule.compare(a, b), 0));
  return sorted.map((candidate, index) => ({ ...candidate, sentence: sentenceOf(candidate, sorted[index - 1]) }));
}

/** The order in which two runbooks are held against each other; `why` says why the second comes after the first. */
const rules: readonly {
  compare(a: Candidate, b: Candidate): number;
  why(before: Candidate, after: Candidate): string;
}[] = [
  {
    // What a guard holds back cannot help now.
    compare: (a, b) => Number(a.suppressed !== undefined) - Number(b.suppressed !== undefined),
    why: () => 'a guard holds it back',
  },
  {
    compare: (a, b) => Number(a.health.state === 'Failing') - Number(b.health.state === 'Failing'),
    why: () => 'it failed lately',
  },
  {
    compare: (a, b) => closeness(b.match) - closeness(a.match),
    why: (before) => `${before.name} matches more closely`,
  },
  {
    // The lower end of the interval: one success of one is less than nine of ten.
    compare: (a, b) => b.success.low - a.success.low,
    why: (before) => `${before.name} is better proven`,
  },
  { compare: (a, b) => Number(b.chosen) - Number(a.chosen), why: (before) => `the engine takes ${before.name}` },
  {
    compare: (a, b) => listed(a.match) - listed(b.match),
    why: (before) => `the incident type names ${before.name} first`,
  },
  {
    compare: (a, b) => (b.lastRunAt ?? 0) - (a.lastRunAt ?? 0),
    why: (before) => `${before.name} ran more recently`,
  },
  { compare: (a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)), why: () => 'its name comes later' },
];

/** A trigger on an alert is closer than one on a type, and that is closer than being named; more matchers are closer. */
function closeness(match: RunbookMatch): number {
  if (match.kind === 'Alert') return 2 + match.matchers;
  return match.kind === 'Incident' ? 1 : 0;
}

function listed(match: RunbookMatch): number {
  return match.kind === 'Listed' ? match.position : 0;
}

function sentenceOf(candidate: Candidate, before: Candidate | undefined): string {
  const { match, success, suppressed, health } = candidate;
  const proof =
    success.of === 0
      ? 'it has not acted in an incident of this type yet'
      : `it fixed ${saidShare(success)} incidents of this type, verified`;
  const place = before ? ` It comes after ${before.name}: ${whyAfter(before, candidate)}.` : '';
  const held = suppressed ? ` ${suppressed.sentence}` : '';
  const sick = health.state === 'Failing' || health.state === 'OldVersion' ? ` ${health.sentence}` : '';
  return `${matchSentence(match)}, and ${proof}.${held}${sick}${place}`;
}

function matchSentence(match: RunbookMatch): string {
  switch (match.kind) {
    case 'Alert': {
      const { matchers, alertName } = match;
      const held =
        matchers === 0 ? '' : `, and ${matchers} matcher${matchers === 1 ? '' : 's'} hold${matchers === 1 ? 's' : ''}`;
      return `It is triggered by ${alertName}${held}`;
    }
    case 'Incident':
      return `It is triggered by incidents of the type ${match.type}`;
    case 'Listed':
      return 'The incident type names it';
  }
}

function whyAfter(before: Candidate, after: Candidate): string {
  return rules.find((rule) => rule.compare(before, after) < 0)?.why(before, after) ?? 'nothing tells them apart';
}

/** So many runs that acted and failed, one after the other, and something is wrong with the runbook itself. */
export const failuresInARow = 3;

/**
 * @param acted its runs that acted and have ended, newest first: whether each was verified
 * @param oldVersion why an older version of its document serves, if it does
 */
export function healthOf(acted: readonly boolean[], oldVersion: string | undefined): Candidate['health'] {
  const last = acted.slice(0, failuresInARow);
  if (last.length === failuresInARow && !last.includes(true))
    return { state: 'Failing', sentence: `None of its last ${failuresInARow} runs that acted was verified.` };
  if (oldVersion !== undefined) return { state: 'OldVersion', sentence: oldVersion };
  if (acted.length === 0) return { state: 'Untried', sentence: 'It has not acted yet.' };
  const verified = acted.filter(Boolean).length;
  return { state: 'Good', sentence: `${verified} of its last ${acted.length} runs that acted were verified.` };
}
