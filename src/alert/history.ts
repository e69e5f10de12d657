/**
 * What an Alertmanager said in the past, from what is kept of it: the lines of its event recorder (0.33 and later), or
 * webhook bodies that were saved. Each alert of each delivery becomes one sighting, oldest first.
 */
import { fingerprintOf } from './fingerprint.ts';
import { type AlertReport, parsePayload, readTime } from './payload.ts';

/** One report of one alert, and when it came. */
export interface Sighting {
  /** ms since the epoch. A saved body does not say when it came: then it is when the alert began or ended. */
  at: number;
  report: AlertReport;
}

export interface AlertHistory {
  sightings: Sighting[];
  /** What could not be read, with its line. */
  problems: { line: number; sentence: string }[];
}

type JsonObject = Record<string, unknown>;

/** Reads JSON lines, one JSON document, or a list of them. Never throws. */
export function readAlertHistory(text: string): AlertHistory {
  const history: AlertHistory = { sightings: [], problems: [] };
  const documents = documentsOf(text, history);
  // A recorder that tells of notifications tells what was delivered; without them, what was fired is the next best.
  const delivered = documents.some(({ value }) => eventOf(value, 'notification') !== undefined);
  for (const { value, line } of documents) {
    const read = sightingsOf(value, delivered);
    if (typeof read === 'string') history.problems.push({ line, sentence: read });
    else history.sightings.push(...read);
  }
  history.sightings.sort((a, b) => a.at - b.at);
  return history;
}

function documentsOf(text: string, history: AlertHistory): { value: unknown; line: number }[] {
  try {
    const whole: unknown = JSON.parse(text);
    return [whole].flat().map((value) => ({ value, line: 1 }));
  } catch {
    // Not one document: one a line.
  }
  return text.split('\n').flatMap((line, index) => {
    if (line.trim() === '') return [];
    try {
      return [{ value: JSON.parse(line) as unknown, line: index + 1 }];
    } catch {
      history.problems.push({ line: index + 1, sentence: 'It is not JSON.' });
      return [];
    }
  });
}

function sightingsOf(value: unknown, delivered: boolean): Sighting[] | string {
  if (!isObject(value)) return 'It is JSON, but not an object.';
  if (Array.isArray(value.alerts)) return sightingsOfBody(value);
  if (!isObject(value.data)) return 'It is neither an event of the recorder nor a webhook body.';
  const at = readTime(value['@timestamp'] ?? value.timestamp);
  if (at === undefined) return 'The event has no time.';
  const notification = eventOf(value, 'notification');
  if (notification) return listOf(notification.alerts).flatMap((grouped) => sighted(at, field(grouped, 'details')));
  const resolved = eventOf(value, 'alertResolved');
  if (resolved) return sighted(at, field(field(resolved, 'alert'), 'details'), 'resolved');
  const created = eventOf(value, 'alertCreated');
  return created && !delivered ? sighted(at, created.alert) : [];
}

function sightingsOfBody(body: JsonObject): Sighting[] | string {
  const parsed = parsePayload(new TextEncoder().encode(JSON.stringify(body)));
  if (!parsed.ok) return parsed.problem;
  const [problem] = parsed.payload.problems;
  const sightings = parsed.payload.alerts.flatMap((report) => {
    const at = report.status === 'firing' ? report.startsAt : (report.endsAt ?? report.startsAt);
    return at === undefined ? [] : [{ at, report }];
  });
  return sightings.length === 0 && problem !== undefined ? problem : sightings;
}

/** An alert as the recorder writes it (protobuf's JSON: labels are a list of pairs, names in camel case or as declared). */
function sighted(at: number, alert: unknown, status?: AlertReport['status']): Sighting[] {
  if (!isObject(alert)) return [];
  const labels = pairs(alert.labels);
  if (Object.keys(labels).length === 0) return [];
  const report: AlertReport = {
    status: status ?? (alert.resolved === true ? 'resolved' : 'firing'),
    name: labels.alertname || 'Unnamed',
    labels,
    annotations: pairs(alert.annotations),
    startsAt: readTime(field(alert, 'startsAt')),
    endsAt: readTime(field(alert, 'endsAt')),
    generatorUrl: '',
    fingerprint: fingerprintOf(labels),
  };
  return [{ at, report }];
}

function pairs(set: unknown): Record<string, string> {
  const entries = listOf(field(set, 'labels')).flatMap((pair): [string, string][] =>
    isObject(pair) && typeof pair.key === 'string' ? [[pair.key, String(pair.value ?? '')]] : [],
  );
  return Object.fromEntries(entries);
}

function eventOf(value: unknown, name: string): JsonObject | undefined {
  const event = field(field(value, 'data'), name);
  return isObject(event) ? event : undefined;
}

/** A field under its name in camel case, or as the protocol declares it. */
function field(value: unknown, name: string): unknown {
  if (!isObject(value)) return undefined;
  return value[name] ?? value[name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)];
}

const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
