/** Which runbook answers an alert. Pure: the same alert and catalog always give the same answer, with reasons. */
import type { CompiledRunbook, CompiledTrigger } from './compiled-runbook.ts';

/** Why a runbook is, or is not, the one for an alert. */
export type MatchReason =
  | 'Chosen'
  | 'LessSpecific'
  | 'OtherAlert'
  | 'MatcherFailed'
  | 'OtherOrganization'
  | 'NoAlertTrigger';

export interface Candidate {
  runbook: CompiledRunbook;
  reason: MatchReason;
  sentence: string;
}

export interface MatchResult {
  /** The runbook to run: the first of `matching`. */
  chosen: CompiledRunbook | undefined;
  /** All that match, best first. */
  matching: readonly CompiledRunbook[];
  /** Every runbook looked at with its reason, best first. */
  candidates: readonly Candidate[];
}

/** What is to be answered: an alert's labels, or an incident's type with the labels of its alerts. */
export interface Question {
  kind: 'alert' | 'incident';
  /** `alertname`, or the incident's type. */
  name: string;
  labels: Readonly<Record<string, string>>;
  /** The Organization it belongs to; undefined for the Sovereign itself. */
  organization?: string;
}

/**
 * Ranks runbooks by specificity: the number of matchers that held, then priority, then the Organization's own before the
 * Sovereign's, then the name, so that the order never depends on that of loading.
 */
export function matchRunbooks(runbooks: readonly CompiledRunbook[], question: Question): MatchResult {
  const looked = runbooks.map((runbook) => ({ runbook, ...lookAt(runbook, question) }));
  const matching = looked.filter((l) => l.matchers !== undefined).sort((a, b) => compare(a, b));
  const [best] = matching;
  const ranked = matching.map((l): Candidate => {
    if (l === best) return { runbook: l.runbook, reason: 'Chosen', sentence: l.sentence };
    const sentence = `${nameOf(best?.runbook)} goes first: ${whyFirst(best ?? l, l)}.`;
    return { runbook: l.runbook, reason: 'LessSpecific', sentence };
  });
  const others = looked
    .filter((l) => l.matchers === undefined)
    .map(({ runbook, reason, sentence }): Candidate => ({ runbook, reason, sentence }));
  others.sort((a, b) => (nameOf(a.runbook) < nameOf(b.runbook) ? -1 : 1));
  return { chosen: best?.runbook, matching: matching.map((l) => l.runbook), candidates: [...ranked, ...others] };
}

interface Looked {
  /** Matchers that held; undefined when the runbook does not match. */
  matchers: number | undefined;
  reason: MatchReason;
  sentence: string;
}

function nameOf(runbook: CompiledRunbook | undefined): string {
  return runbook?.resource.metadata.name ?? '';
}

function lookAt(runbook: CompiledRunbook, question: Question): Looked {
  const { organization } = runbook.resource.provenance;
  const no = (reason: MatchReason, sentence: string): Looked => ({ matchers: undefined, reason, sentence });
  if (organization !== undefined && organization !== question.organization)
    return no('OtherOrganization', `It belongs to the Organization ${organization}.`);
  const triggers = runbook.triggers.filter((t) => t.kind === question.kind);
  if (triggers.length === 0) return no('NoAlertTrigger', `No ${question.kind} starts it.`);
  const named = triggers.filter((t) => triggerName(t) === question.name);
  if (named.length === 0) {
    const names = [...new Set(triggers.map(triggerName))].join(', ');
    return no('OtherAlert', `It is started by ${names}, not by ${question.name}.`);
  }
  let best: number | undefined;
  let failed = '';
  for (const trigger of named) {
    if (trigger.kind === 'schedule') continue;
    const miss = trigger.matchers.find((m) => !m.matches(question.labels));
    if (miss) failed ||= `${miss.label}${miss.operator}${JSON.stringify(miss.value)}`;
    else best = Math.max(best ?? 0, trigger.matchers.length);
  }
  if (best === undefined) return no('MatcherFailed', `The matcher ${failed} does not hold.`);
  return { matchers: best, reason: 'Chosen', sentence: `It matches ${question.name} with ${best} matcher(s).` };
}

function triggerName(trigger: CompiledTrigger): string {
  return trigger.kind === 'alert' ? trigger.alertName : trigger.kind === 'incident' ? trigger.type : '';
}

type Ranked = Looked & { runbook: CompiledRunbook };

const isOwn = (r: Ranked) => (r.runbook.resource.provenance.organization === undefined ? 0 : 1);

function compare(a: Ranked, b: Ranked): number {
  return (
    (b.matchers ?? 0) - (a.matchers ?? 0) ||
    b.runbook.priority - a.runbook.priority ||
    isOwn(b) - isOwn(a) ||
    (nameOf(a.runbook) < nameOf(b.runbook) ? -1 : 1)
  );
}

function whyFirst(best: Ranked, other: Ranked): string {
  if (best.matchers !== other.matchers) return `${best.matchers} matchers hold there, ${other.matchers} here`;
  if (best.runbook.priority !== other.runbook.priority)
    return `its priority is ${best.runbook.priority}, and ${other.runbook.priority} here`;
  if (isOwn(best) !== isOwn(other)) return 'it is the own runbook of the Organization';
  return 'its name comes first';
}
