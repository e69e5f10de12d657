import type { RecordEntry } from '../audit/record.ts';
import type { Incident } from './incident.ts';

/** An entry of an incident's timeline. */
export function incidentEntry(
  incident: Pick<Incident, 'id' | 'organization'>,
  entry: Pick<RecordEntry, 'at' | 'kind' | 'actor' | 'sentence' | 'data' | 'runId'>,
): RecordEntry {
  return { ...entry, organization: incident.organization, incidentId: incident.id };
}
