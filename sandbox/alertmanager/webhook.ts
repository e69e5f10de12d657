/** The webhook of Alertmanager, version "4": its body, and how it is sent. */
import type { Alert } from './alert.ts';
import type { Labels } from './matchers.ts';

/** Alertmanager 0.32 and later say why they notify. */
export type Reason =
  | 'first notification'
  | 'new alerts added'
  | 'some alerts resolved'
  | 'all alerts resolved'
  | 'repeat interval elapsed'
  | 'none';

export interface Notification {
  receiver: string;
  groupLabels: Labels;
  /** In the order of Alertmanager: by labels, not the firing ones first. */
  alerts: (Alert & { isFiring: boolean })[];
  reason: Reason;
  externalURL: string;
}

export interface Webhook {
  url: string;
  /** Sent as a bearer token. */
  token?: string;
}

/** Go's zero time: what `endsAt` of a firing alert says. */
const NO_TIME = '0001-01-01T00:00:00Z';
/** Alertmanager's own default has no limit; a generated configuration sets one. */
const TIMEOUT_MS = 10_000;

/** `{alertname="X", namespace="y"}`. */
export function printLabels(labels: Labels): string {
  const pairs = Object.keys(labels)
    .sort()
    .map((name) => `${name}=${JSON.stringify(labels[name])}`);
  return `{${pairs.join(', ')}}`;
}

function common(all: Labels[]): Labels {
  const [first = {}, ...rest] = all;
  return Object.fromEntries(Object.entries(first).filter(([name, value]) => rest.every((one) => one[name] === value)));
}

/** The body, member by member as receivers get it. */
export function webhookBody({ receiver, groupLabels, alerts, reason, externalURL }: Notification) {
  return {
    // The name is quoted for regular expressions: `web.hook` arrives as `web\.hook`.
    receiver: receiver.replace(/[\\.+*?()|[\]{}^$]/g, '\\$&'),
    status: alerts.some((alert) => alert.isFiring) ? 'firing' : 'resolved',
    alerts: alerts.map((alert) => ({
      status: alert.isFiring ? 'firing' : 'resolved',
      labels: alert.labels,
      annotations: alert.annotations,
      startsAt: new Date(alert.startsAt).toISOString(),
      endsAt: alert.isFiring ? NO_TIME : new Date(alert.endsAt).toISOString(),
      generatorURL: alert.generatorURL,
      fingerprint: alert.fingerprint,
    })),
    groupLabels,
    commonLabels: common(alerts.map((alert) => alert.labels)),
    commonAnnotations: common(alerts.map((alert) => alert.annotations)),
    routeLabels: {},
    externalURL,
    version: '4',
    groupKey: `{}:${printLabels(groupLabels)}`,
    truncatedAlerts: 0,
    notification_reason: reason,
  };
}

/** What became of one attempt: only a server that fails or does not answer is asked again. */
export type Outcome = 'delivered' | 'refused' | 'failed';

/** Posts once. Waits on a real socket, hence a real timer and not the world's clock. */
export async function post(webhook: Webhook, body: unknown, stopping: AbortSignal): Promise<Outcome> {
  try {
    const response = await fetch(webhook.url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'user-agent': 'Alertmanager/0.34.0',
        ...(webhook.token === undefined ? {} : { authorization: `Bearer ${webhook.token}` }),
      },
      body: JSON.stringify(body),
      signal: AbortSignal.any([stopping, AbortSignal.timeout(TIMEOUT_MS)]),
    });
    await response.arrayBuffer();
    if (response.ok) return 'delivered';
    return response.status >= 500 ? 'failed' : 'refused';
  } catch {
    return 'failed';
  }
}
