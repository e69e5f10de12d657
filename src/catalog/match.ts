/** Which runbook answers an alert. Pure: the same alert and catalog always give the same answer, with reasons. */
import type { CompiledRunbook, LabelMatcher } from './compiled-runbook.ts';

/** Words of the closed list of reasons that decisions are recorded with. */
export type MatchReason = 'RunStarted' | 'OtherRunbookChosen' | 'NoRunbook';

/** A runbook that names the alert, and what came of it. */
export interface Considered {
  /** Its name. */
  runbook: string;
  reason: MatchReason;
  sentence: string;
}

export interface MatchResult {
  /** The runbook to run: the first of `matching`. */
  chosen: CompiledRunbook | undefined;
  /** All that match, best first. */
  matching: readonly CompiledRunbook[];
  /** Every runbook that names the alert: those that match, best first, then those that do not, by name. */
  considered: Considered[];
}

/** A runbook that names the alert. */
interface Candidate {
  runbook: CompiledRunbook;
  name: string;
  /** Matchers that held; undefined when it does not match. */
  held: number | undefined;
  sentence: string;
}

/**
 * Ranks runbooks by specificity: the number of matchers that held, then priority, then the Organization's own before the
 * Sovereign's, then the name, so that the order never depends on that of loading.
 * @param organization whose alert it is; undefined for the Sovereign itself
 */
export function matchRunbooks(
  runbooks: readonly CompiledRunbook[],
  labels: Readonly<Record<string, string>>,
  organization: string | undefined,
): MatchResult {
  const candidates = runbooks.flatMap((runbook) => candidateOf(runbook, labels, organization) ?? []).sort(compare);
  const matching = candidates.filter((c) => c.held !== undefined);
  const [best] = matching;
  const considered = candidates.map((c): Considered => {
    const { name: runbook, sentence } = c;
    if (c === best) return { runbook, reason: 'RunStarted', sentence };
    if (c.held === undefined || !best) return { runbook, reason: 'NoRunbook', sentence };
    return { runbook, reason: 'OtherRunbookChosen', sentence: `${best.name} goes first: ${whyFirst(best, c)}.` };
  });
  return { chosen: best?.runbook, matching: matching.map((c) => c.runbook), considered };
}

function candidateOf(
  runbook: CompiledRunbook,
  labels: Readonly<Record<string, string>>,
  organization: string | undefined,
): Candidate | undefined {
  const alertName = Object.hasOwn(labels, 'alertname') ? labels.alertname : undefined;
  const triggers = runbook.triggers.filter((t) => t.kind === 'alert').filter((t) => t.alertName === alertName);
  if (triggers.length === 0) return undefined;
  const { name } = runbook.resource.metadata;
  const owner = runbook.resource.provenance.organization;
  if (owner !== undefined && owner !== organization)
    return { runbook, name, held: undefined, sentence: `It belongs to the Organization ${owner}.` };
  const held = mostHeld(triggers, labels);
  const miss = triggers.flatMap(({ matchers }) => matchers.find((m) => !m.matches(labels)) ?? [])[0];
  const failed = miss && `${miss.label}${miss.operator}${JSON.stringify(miss.value)}`;
  const sentence =
    held === undefined
      ? `The matcher ${failed} does not hold.`
      : `It names ${alertName}, and its matchers hold (${held}).`;
  return { runbook, name, held, sentence };
}

/** How many matchers of the closest trigger hold; undefined where none matches. */
export function mostHeld(
  triggers: readonly { matchers: readonly LabelMatcher[] }[],
  labels: Readonly<Record<string, string>>,
): number | undefined {
  const holding = triggers.filter(({ matchers }) => matchers.every((m) => m.matches(labels)));
  return holding.length === 0 ? undefined : Math.max(...holding.map(({ matchers }) => matchers.length));
}

const ownFirst = (c: Candidate) => (c.runbook.resource.provenance.organization === undefined ? 0 : 1);

function compare(a: Candidate, b: Candidate): number {
  const byName = a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
  // -1 matchers: what does not match comes last.
  const byHeld = (b.held ?? -1) - (a.held ?? -1);
  if (a.held === undefined && b.held === undefined) return byName || ownFirst(b) - ownFirst(a);
  return byHeld || b.runbook.priority - a.runbook.priority || ownFirst(b) - ownFirst(a) || byName;
}

function whyFirst(best: Candidate, other: Candidate): string {
  if (best.held !== other.held) return `${best.held} of its matchers hold, and ${other.held} here`;
  if (best.runbook.priority !== other.runbook.priority)
    return `its priority is ${best.runbook.priority}, and ${other.runbook.priority} here`;
  if (ownFirst(best) !== ownFirst(other)) return 'it is the own runbook of the Organization';
  return 'its name comes first';
}
