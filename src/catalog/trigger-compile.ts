/** Triggers: exactly one of alert, incident and schedule each. */
import { Cron } from 'croner';
import { messageOf } from '../errors.ts';
import type { CompiledTrigger, LabelMatcher } from './compiled-runbook.ts';
import type { RunbookTrigger } from './kinds/runbook.ts';
import { contradiction, MatcherError, parseMatcher } from './matcher.ts';
import type { Path } from './schema.ts';

type Report = (rule: string, path: Path, sentence: string, offset?: number) => void;

/** Compiles one trigger, or reports why not. Paths are relative to the trigger. */
export function compileTrigger(trigger: RunbookTrigger, report: Report): CompiledTrigger | undefined {
  const { alertName, incident, schedule, matchers = [] } = trigger;
  const given = [alertName, incident, schedule].filter((v) => v !== undefined);
  if (given.length !== 1) {
    const what = given.length === 0 ? 'nothing that starts the runbook' : 'more than one thing that starts the runbook';
    report('trigger-needs-one', [], `The trigger names ${what}. Give exactly one of alertName, incident, schedule.`);
    return undefined;
  }
  if (schedule !== undefined) return compileSchedule(trigger, schedule, report);
  if (trigger.timeZone !== undefined)
    report('time-zone-without-schedule', ['timeZone'], 'timeZone belongs to a schedule. Remove it.');
  const compiled = compileMatchers(matchers, report);
  if (!compiled) return undefined;
  if (incident !== undefined) return { kind: 'incident', type: incident, matchers: compiled };
  return { kind: 'alert', alertName: alertName ?? '', matchers: compiled };
}

function compileMatchers(matchers: readonly string[], report: Report): LabelMatcher[] | undefined {
  const compiled: LabelMatcher[] = [];
  matchers.forEach((text, i) => {
    try {
      compiled.push(parseMatcher(text));
    } catch (error) {
      if (!(error instanceof MatcherError)) throw error;
      report('bad-matcher', ['matchers', i], error.message, error.offset);
    }
  });
  return compiled.length === matchers.length ? compiled : undefined;
}

function compileSchedule(trigger: RunbookTrigger, cron: string, report: Report): CompiledTrigger | undefined {
  const timeZone = trigger.timeZone ?? 'UTC';
  if ((trigger.matchers ?? []).length > 0)
    report('matchers-without-alert', ['matchers'], 'A schedule has no labels to match. Remove the matchers.');
  if (!isTimeZone(timeZone)) {
    report('bad-time-zone', ['timeZone'], `${timeZone} is not an IANA time zone. Write for instance Europe/Helsinki.`);
    return undefined;
  }
  try {
    // Paused and with a fixed reference: nothing is started, and no clock decides whether a document is sound.
    const job = new Cron(cron, { timezone: timeZone, mode: '5-part', paused: true });
    if (job.nextRun(new Date(Date.UTC(2024, 0, 1))) === null)
      report('trigger-never-matches', ['schedule'], `${cron} names no date that ever comes.`);
  } catch (error) {
    const why = messageOf(error)
      .replace(/^CronPattern: /, '')
      .replace(/\.$/, '');
    report(
      'bad-schedule',
      ['schedule'],
      `${cron} is not a schedule of five fields (minute hour day month weekday): ${why}.`,
    );
    return undefined;
  }
  return { kind: 'schedule', cron, timeZone };
}

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }) !== undefined;
  } catch {
    return false;
  }
}

/** The sentence that says why a trigger can never match, or undefined when it can. */
export function neverMatches(trigger: CompiledTrigger): string | undefined {
  if (trigger.kind === 'schedule') return undefined;
  const clash = contradiction(trigger.matchers);
  if (clash) return `The matcher on ${clash.label} contradicts another one, so the trigger can never match.`;
  if (trigger.kind !== 'alert') return undefined;
  const onName = trigger.matchers.find((m) => m.label === 'alertname' && !m.matches({ alertname: trigger.alertName }));
  return onName ? `The matcher on alertname excludes ${trigger.alertName}, so the trigger can never match.` : undefined;
}
