/**
 * Alertmanager's webhook, version 4, read leniently: unknown keys are ignored, later additions are optional, values of
 * the wrong plain type become text. What cannot be read is said in a sentence; nothing here throws.
 */
import { messageOf } from '../errors.ts';
import { fingerprintOf } from './fingerprint.ts';
import { exceedsDepth } from './nesting.ts';

export type Labels = Readonly<Record<string, string>>;

/** One alert as one delivery reports it. */
export interface AlertReport {
  status: 'firing' | 'resolved';
  /** The label `alertname`, or `Unnamed`. */
  name: string;
  labels: Labels;
  annotations: Labels;
  /** Milliseconds since the epoch; undefined where the source gave none. */
  startsAt: number | undefined;
  endsAt: number | undefined;
  generatorUrl: string;
  fingerprint: string;
}

/** A delivery that could be read, at least in part. */
export interface WebhookPayload {
  /** The receiver's name, with the regexp quoting Alertmanager puts on it taken off. */
  receiver: string;
  groupKey: string;
  externalUrl: string;
  notificationReason: string | undefined;
  /** How many alerts of the group Alertmanager left out (`max_alerts`). The group's status then says nothing. */
  truncatedAlerts: number;
  alerts: AlertReport[];
  /** What could not be read, one sentence for each alert left out. */
  problems: string[];
}

export type ParsedPayload = { ok: true; payload: WebhookPayload } | { ok: false; problem: string };

export interface PayloadLimits {
  /** A group of a large cluster has some thousands of alerts; Alertmanager itself sets no limit. */
  alerts: number;
  /** Labels, or annotations, of one alert. Kubernetes alerts have some twenty. */
  labels: number;
  /** Characters of a label's or annotation's name. */
  nameLength: number;
  /** Characters of a value. A longer label makes the alert unreadable (cut short, it would be another alert's); a longer annotation is cut. */
  valueLength: number;
  /** Levels of `{` and `[`. The format has four. */
  depth: number;
}

export const defaultPayloadLimits: PayloadLimits = {
  alerts: 20_000,
  labels: 256,
  nameLength: 1_024,
  valueLength: 16_384,
  depth: 32,
};

export function parsePayload(body: Uint8Array, limits: PayloadLimits = defaultPayloadLimits): ParsedPayload {
  if (body.length === 0) return unreadable('The body is empty.');
  if (exceedsDepth(body, limits.depth))
    return unreadable(`The body is nested deeper than ${limits.depth} levels; a webhook of Alertmanager has four.`);
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder().decode(body));
  } catch (error) {
    return unreadable(`The body is not JSON: ${clip(cleanText(messageOf(error)), 200)}`);
  }
  if (!isObject(document)) return unreadable('The body is JSON, but not an object.');
  const alerts = own(document, 'alerts');
  if (!Array.isArray(alerts)) {
    return unreadable(
      'The body has no list `alerts`. Send the webhook of Alertmanager as it is, without a custom payload.',
    );
  }
  if (alerts.length > limits.alerts) {
    return unreadable(
      `The body holds ${alerts.length} alerts; the limit is ${limits.alerts}. Set max_alerts or group by more labels.`,
    );
  }
  return { ok: true, payload: readPayload(document, alerts, limits) };
}

function readPayload(document: object, alerts: readonly unknown[], limits: PayloadLimits): WebhookPayload {
  const truncatedAlerts = Math.max(0, Math.trunc(Number(own(document, 'truncatedAlerts')) || 0));
  // Alertmanager computes the group's status after leaving alerts out: "resolved" may then be said of a firing group.
  const groupStatus = truncatedAlerts > 0 ? undefined : statusOf(own(document, 'status'));
  const payload: WebhookPayload = {
    receiver: unquoteRegexp(text(own(document, 'receiver'), limits)),
    groupKey: text(own(document, 'groupKey'), limits),
    externalUrl: text(own(document, 'externalURL'), limits),
    notificationReason: text(own(document, 'notification_reason'), limits) || undefined,
    truncatedAlerts,
    alerts: [],
    problems: [],
  };
  alerts.forEach((alert, index) => {
    const read = readAlert(alert, groupStatus, limits);
    if (typeof read === 'string') payload.problems.push(`Alert ${index + 1}: ${read}`);
    else payload.alerts.push(read);
  });
  return payload;
}

/** The alert, or the reason it cannot be read. */
function readAlert(
  alert: unknown,
  groupStatus: AlertReport['status'] | undefined,
  limits: PayloadLimits,
): AlertReport | string {
  if (!isObject(alert)) return 'it is not an object.';
  const labels = readLabels(own(alert, 'labels'), limits);
  if (typeof labels === 'string') return labels;
  const startsAt = readTime(own(alert, 'startsAt'));
  const endsAt = readTime(own(alert, 'endsAt'));
  const givenStatus = own(alert, 'status');
  const status = statusOf(givenStatus) ?? (givenStatus === undefined ? groupStatus : undefined);
  if (!status) return 'its status is neither "firing" nor "resolved".';
  const given = own(alert, 'fingerprint');
  return {
    status,
    name: (Object.hasOwn(labels, 'alertname') && labels.alertname) || 'Unnamed',
    labels,
    annotations: readAnnotations(own(alert, 'annotations'), limits),
    startsAt,
    endsAt,
    generatorUrl: text(own(alert, 'generatorURL'), limits),
    fingerprint: typeof given === 'string' && /^[0-9A-Za-z_-]{1,64}$/.test(given) ? given : fingerprintOf(labels),
  };
}

function readLabels(value: unknown, limits: PayloadLimits): Labels | string {
  if (!isObject(value)) return 'it has no labels.';
  const entries = Object.entries(value);
  if (entries.length === 0) return 'it has no labels.';
  if (entries.length > limits.labels) return `it has ${entries.length} labels; the limit is ${limits.labels}.`;
  const labels: [string, string][] = [];
  for (const [name, raw] of entries) {
    if (name.length > limits.nameLength) return `a label's name is longer than ${limits.nameLength} characters.`;
    const label = plainText(raw);
    if (label.length > limits.valueLength)
      return `the label ${clip(cleanText(name), 64)} is longer than ${limits.valueLength} characters.`;
    labels.push([cleanText(name), label]);
  }
  // fromEntries defines each key as the object's own, `__proto__` included.
  return Object.fromEntries(labels);
}

function readAnnotations(value: unknown, limits: PayloadLimits): Labels {
  if (!isObject(value)) return {};
  return Object.fromEntries(
    Object.entries(value)
      .slice(0, limits.labels)
      .filter(([name]) => name.length <= limits.nameLength)
      .map(([name, raw]) => [cleanText(name), clip(plainText(raw), limits.valueLength)]),
  );
}

/**
 * RFC 3339 with any number of decimals, to the millisecond. Go's zero time, any other time before 1970 and what is not
 * a time count as absent.
 */
export function readTime(value: unknown): number | undefined {
  if (typeof value !== 'string' || value.length > 64) return undefined;
  const match = /^(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)$/.exec(value);
  if (!match) return undefined;
  const [, date, time, fraction = '', zone = 'Z'] = match;
  const at = Date.parse(`${date}T${time}.${fraction.slice(0, 3).padEnd(3, '0')}${zone.toUpperCase()}`);
  return at > 0 ? at : undefined;
}

/** Takes off what Go's `regexp.QuoteMeta` put on: `web\.hook` is the receiver `web.hook`. */
export function unquoteRegexp(quoted: string): string {
  return quoted.replaceAll(/\\([\\.+*?()|[\]{}^$])/g, '$1');
}

function statusOf(value: unknown): AlertReport['status'] | undefined {
  return value === 'firing' || value === 'resolved' ? value : undefined;
}

function text(value: unknown, limits: PayloadLimits): string {
  return clip(plainText(value), limits.valueLength);
}

/** Templates re-read as YAML turn `3`, `true`, `null` into numbers, booleans and nulls: they become text again. */
function plainText(value: unknown): string {
  if (value === null || value === undefined) return '';
  return cleanText(typeof value === 'object' ? JSON.stringify(value) : String(value));
}

/** What PostgreSQL text cannot hold, U+0000 and lone surrogates, becomes U+FFFD. */
export function cleanText(value: string): string {
  return value.replaceAll('\u0000', '\ufffd').toWellFormed();
}

function clip(value: string, length: number): string {
  return value.length <= length ? value : `${value.slice(0, length - 1).toWellFormed()}…`;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function own(object: object, key: string): unknown {
  return Object.getOwnPropertyDescriptor(object, key)?.value;
}

function unreadable(problem: string): ParsedPayload {
  return { ok: false, problem };
}
