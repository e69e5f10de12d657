/** Links incidents that have just been opened with those they follow from, and with those that follow from them. */
import { firstLabels } from '../alert/alert-store.ts';
import type { RecordEntry } from '../audit/record.ts';
import type { Tx } from '../database/tables.ts';
import { type CauseRule, causeOf, heldBackUntil, type Placed } from './cause-decision.ts';
import type { Incident } from './incident.ts';
import { incidentEntry } from './incident-entry.ts';
import { lockIncidents, saveIncidents } from './incident-store.ts';

/** What the types say of causes. */
export interface CauseRules {
  /** What may cause incidents of this type. */
  of(type: string, organization: string | undefined): readonly CauseRule[];
  /** Types that incidents of this type may cause. */
  effectsOf(type: string): readonly string[];
}

/** @param opened incidents that were opened in this transaction, and saved with their alerts */
export async function linkCauses(
  tx: Tx,
  opened: readonly Incident[],
  rules: CauseRules,
  now: number,
): Promise<RecordEntry[]> {
  const isEffect = ({ type, organization }: Incident) => rules.of(type, organization).length > 0;
  const types = new Set(
    opened.flatMap((incident) => [
      ...rules.of(incident.type, incident.organization).map(({ type }) => type),
      ...rules.effectsOf(incident.type),
    ]),
  );
  if (types.size === 0) return [];
  const others = await lockIncidents(tx, { openTypes: [...types] });
  const open = new Map([...others, ...opened].map((incident) => [incident.id, incident]));
  const labels = await firstLabels(tx, [...open.keys()]);
  const placed = (incident: Incident): Placed => ({ incident, labels: labels.get(incident.id) ?? {} });
  const entries: RecordEntry[] = [];
  for (const incident of [...open.values()].filter((one) => one.causedBy === undefined && isEffect(one))) {
    const found = causeOf(
      placed(incident),
      rules.of(incident.type, incident.organization),
      [...open.values()].map(placed),
    );
    if (!found) continue;
    const { cause, sentence } = found;
    const next = { ...incident, causedBy: cause, causedBySentence: sentence, version: incident.version + 1 };
    open.set(next.id, next);
    const until = heldBackUntil(next, open.get(cause), now);
    const pages =
      until === undefined
        ? 'People are paged about it all the same.'
        : `While that one is open, nobody is paged about this one before ${new Date(until).toISOString()}.`;
    entries.push(
      incidentEntry(next, {
        at: now,
        kind: 'incident.caused',
        actor: 'engine',
        sentence: `${sentence} ${pages}`,
        data: { cause, heldBackUntil: until === undefined ? null : new Date(until).toISOString() },
      }),
    );
    await saveIncidents(tx, [next]);
  }
  return entries;
}
