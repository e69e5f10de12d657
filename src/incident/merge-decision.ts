/** What becomes of two incidents when one is merged into the other, and of an incident some alerts are taken out of. Pure. */
import type { BusinessCalendarSpec } from '../catalog/kinds/business-calendar.ts';
import { type Incident, isWorse } from './incident.ts';
import { recheckAfter, unsettledState } from './incident-decision.ts';
import { respondBy } from './response-clock.ts';

export interface MergeQuestion {
  /** The incident that ends. */
  source: Incident;
  /** The incident that goes on. */
  target: Incident;
  /** Alerts of the source that still fire. */
  firing: number;
  calendar: BusinessCalendarSpec;
  now: number;
}

/**
 * Why two incidents cannot be merged; undefined when they can. Two Organizations never share an incident, whoever asks:
 * its title, alerts and timeline are read by all who may see it.
 */
export function mergeObstacle(
  source: Incident,
  target: Incident,
): { code: 'BadRequest' | 'InvalidState'; sentence: string } | undefined {
  if (source.id === target.id) return { code: 'BadRequest', sentence: 'An incident cannot be merged into itself.' };
  if (source.organization !== target.organization)
    return {
      code: 'BadRequest',
      sentence:
        'The two incidents belong to different Organizations; what one reads of its incident the other may not.',
    };
  if (target.state === 'Resolved')
    return { code: 'InvalidState', sentence: `Incident ${target.id} is resolved; only an open one can go on.` };
  return undefined;
}

/**
 * The target as it goes on. It takes over the worse severity and, while nobody has acknowledged it, the earlier of the two
 * response times: what was promised for the alerts of the source stays promised. An acknowledgement of the source does not
 * carry over: who took a small incident has not taken the big one.
 */
export function mergedTarget({ source, target, firing, calendar, now }: MergeQuestion): Incident {
  const severity = isWorse(source.severity, target.severity) ? source.severity : target.severity;
  const harmed = firing > 0 && target.state === 'Mitigated';
  const next: Incident = {
    ...target,
    severity,
    ...(harmed ? { state: unsettledState(target), mitigatedAt: undefined } : {}),
    ...(firing > 0 ? { clearSince: undefined } : {}),
    checkAt: target.checkAt ?? now + recheckAfter,
    version: target.version + 1,
  };
  if (target.acknowledgedAt !== undefined) return next;
  const due = [target.respondBy];
  if (source.acknowledgedAt === undefined) due.push(source.respondBy);
  // Of a severity that was raised the clock of its new alerts counts.
  if (severity !== target.severity) due.push(respondBy(severity, source.clockFrom, calendar));
  // The policy of the new severity may have a step that is due already: it is looked at once, whatever its clock says.
  return { ...next, respondBy: Math.min(...due), escalateAt: target.clockFrom };
}

/** The source as it ends: nobody is paged about it any more, and it is not asked about again. */
export function mergedSource(source: Incident, target: Incident, actor: string, now: number): Incident {
  return {
    ...source,
    state: 'Resolved',
    resolvedAt: now,
    resolvedBy: actor,
    resolvedHow: 'Merged',
    resolution: `It was merged into ${target.id}: ${target.title}`,
    mergedInto: target.id,
    escalateAt: undefined,
    checkAt: undefined,
    clearSince: undefined,
    version: source.version + 1,
  };
}

/** What an incident keeps when some of its alerts leave. Where nothing of it fires any more it is asked about at once. */
export function remainderOf(incident: Incident, firingLeft: number, now: number): Incident {
  const checkAt = firingLeft === 0 ? now : incident.checkAt;
  return { ...incident, checkAt, version: incident.version + 1 };
}

/**
 * Since when the response clock of a split-off incident runs: since the first of its alerts fired, as far as we were
 * told. Whoever it harms has waited since then; that it stood in another incident's list meanwhile is no excuse, and
 * splitting must not be a way to win time.
 */
export function clockOfSplit(alerts: readonly { firedAt: number | undefined; firstSeen: number }[]): number {
  return Math.min(...alerts.map(({ firedAt, firstSeen }) => firedAt ?? firstSeen));
}
