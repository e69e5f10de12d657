/** Which open incident another one follows from, by what their types say and where they are; and who is still paged. Pure. */
import type { Incident } from './incident.ts';

/** What an IncidentType says of its causes. */
export interface CauseRule {
  /** Name of the IncidentType that explains it. */
  type: string;
  /** Labels that have to be the same in both; one that is missing in both is the same. */
  same: readonly string[];
}

/** An incident and where it is: the labels of its first alert. */
export interface Placed {
  incident: Pick<Incident, 'id' | 'organization' | 'type' | 'openedAt' | 'causedBy' | 'state'>;
  labels: Readonly<Record<string, string>>;
}

/**
 * The cause of an incident among the open ones, and why; the first opened where several fit. A cause is of the same
 * Organization or of the Sovereign itself, and never follows from what it explains.
 */
export function causeOf(
  effect: Placed,
  rules: readonly CauseRule[],
  open: readonly Placed[],
): { cause: string; sentence: string } | undefined {
  const byId = new Map(open.map((one) => [one.incident.id, one.incident]));
  const followsFrom = (id: string | undefined, seen: ReadonlySet<string>): boolean => {
    if (id === undefined || seen.has(id)) return false;
    return id === effect.incident.id || followsFrom(byId.get(id)?.causedBy, new Set([...seen, id]));
  };
  const found = open
    .filter(({ incident }) => incident.state !== 'Resolved' && !followsFrom(incident.id, new Set()))
    .filter(
      ({ incident }) => incident.organization === undefined || incident.organization === effect.incident.organization,
    )
    .flatMap((cause) => {
      const rule = rules.find(
        ({ type, same }) =>
          type === cause.incident.type && same.every((name) => labelOf(cause, name) === labelOf(effect, name)),
      );
      return rule ? [{ cause, rule }] : [];
    })
    .sort((a, b) => a.cause.incident.openedAt - b.cause.incident.openedAt)[0];
  if (!found) return undefined;
  const { id, type } = found.cause.incident;
  const where = found.rule.same.flatMap((name) => {
    const value = labelOf(effect, name);
    return value === undefined ? [] : [`${name} ${value}`];
  });
  // Of the Sovereign's incident an Organization is told the type, not the title.
  const place = where.length > 0 ? `, and both are of ${where.join(', ')}` : '';
  return { cause: id, sentence: `Caused by ${id}: ${effect.incident.type} follows from ${type}${place}.` };
}

function labelOf({ labels }: Placed, name: string): string | undefined {
  return (Object.hasOwn(labels, name) ? labels[name] : undefined) || undefined;
}

/**
 * Until when nobody is paged about an incident because of its cause; undefined when people are paged as ever. While its
 * cause is open, whoever is on call hears of that one, and not of each thing that follows from it. A P1 is never held
 * back, nothing is held back beyond its response time of §13.1, and when the cause ends first, paging begins.
 */
export function heldBackUntil(
  incident: Pick<Incident, 'severity' | 'respondBy'>,
  cause: Pick<Incident, 'state'> | undefined,
  now: number,
): number | undefined {
  if (!cause || cause.state === 'Resolved' || incident.severity === 'P1') return undefined;
  return now < incident.respondBy ? incident.respondBy : undefined;
}
