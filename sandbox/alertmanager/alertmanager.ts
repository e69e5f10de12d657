/** Alertmanager: keeps alerts, groups them, holds back the silenced, and tells the receiver what changed. */
import type { Clock } from '../../src/clock.ts';
import type { Pace } from '../pace.ts';
import type { Alert } from './alert.ts';
import { fingerprint, type Labels, type Matcher, matches, matchesAll } from './matchers.ts';
import { Silences } from './silences.ts';
import { post, type Reason, type Webhook, webhookBody } from './webhook.ts';

export interface AlertStatus {
  state: 'unprocessed' | 'active' | 'suppressed';
  silencedBy: string[];
  inhibitedBy: string[];
}

/** What was last told about a group. */
interface Told {
  firing: Set<string>;
  resolved: Set<string>;
  at: number;
}

export interface Group {
  labels: Labels;
  alerts: Map<string, Alert>;
  nextFlush: number;
  hasFlushed: boolean;
  told?: Told;
  /** While a notification is under way the group waits for it. */
  busy: boolean;
}

export const RECEIVER = 'catalyst-sre';
export const GROUP_BY = ['alertname', 'namespace'];
/** A critical alert keeps its warning twin quiet. */
export const INHIBIT: { source: Matcher; target: Matcher; equal: string[] } = {
  source: { name: 'severity', value: 'critical', isRegex: false, isEqual: true },
  target: { name: 'severity', value: 'warning', isRegex: false, isEqual: true },
  equal: GROUP_BY,
};
/** How long an alert without an end lives when nobody renews it. */
const RESOLVE_TIMEOUT_MS = 300_000;
/** First pause between attempts, and how it grows. */
const RETRY_MS = 500;
const RETRY_FACTOR = 1.5;
/** Attempts go on for the group interval, but at least this long. */
const MIN_RETRY_WINDOW_MS = 10_000;

export interface NewAlert {
  labels: Labels;
  annotations?: Labels;
  startsAt?: string;
  endsAt?: string;
  generatorURL?: string;
}

export class Alertmanager {
  readonly silences: Silences;
  readonly startedAt: number;
  readonly pace: Pace;
  externalUrl = '';
  webhook: Webhook | undefined;
  readonly #clock: Clock;
  readonly #alerts = new Map<string, Alert>();
  readonly #groups = new Map<string, Group>();
  readonly #stopping = new AbortController();
  readonly #deliveries = new Set<Promise<void>>();

  constructor(clock: Clock, pace: Pace) {
    this.#clock = clock;
    this.pace = pace;
    this.startedAt = clock.now();
    this.silences = new Silences(() => clock.now());
  }

  /** Takes alerts as the API and Prometheus send them. */
  receive(alerts: readonly NewAlert[]): void {
    const now = this.#clock.now();
    for (const posted of alerts) {
      const ended = posted.endsAt ? Date.parse(posted.endsAt) : undefined;
      const labels = Object.fromEntries(Object.entries(posted.labels).filter(([, value]) => value !== ''));
      const id = fingerprint(labels);
      const known = this.#alerts.get(id);
      const startsAt = posted.startsAt ? Date.parse(posted.startsAt) : (ended ?? now);
      const alert: Alert = {
        fingerprint: id,
        labels,
        annotations: posted.annotations ?? {},
        // An alert that goes on keeps its earliest start; one that had ended begins anew.
        startsAt: known && known.endsAt > startsAt ? Math.min(known.startsAt, startsAt) : startsAt,
        endsAt: ended ?? now + RESOLVE_TIMEOUT_MS,
        updatedAt: now,
        generatorURL: posted.generatorURL ?? '',
      };
      // The end of something never heard of concerns nobody.
      if (!known && alert.endsAt <= now) continue;
      this.#alerts.set(id, alert);
      this.#insert(alert, now);
    }
  }

  /** The alerts that have not ended, by fingerprint. */
  current(): Alert[] {
    const now = this.#clock.now();
    return [...this.#alerts.values()]
      .filter((alert) => alert.endsAt > now)
      .sort((a, b) => (a.fingerprint < b.fingerprint ? -1 : 1));
  }

  statusOf(alert: Alert): AlertStatus {
    const silencedBy = this.silences.covering(alert.labels);
    const inhibitedBy = this.#inhibitors(alert);
    const state = silencedBy.length + inhibitedBy.length > 0 ? 'suppressed' : 'active';
    return { state, silencedBy, inhibitedBy };
  }

  groups(): Group[] {
    return [...this.#groups.values()];
  }

  /** Sends what is due. */
  tick(): void {
    const now = this.#clock.now();
    for (const group of this.#groups.values()) {
      if (group.busy || now < group.nextFlush) continue;
      group.busy = true;
      const delivery = this.#flush(group, now).finally(() => {
        group.busy = false;
        this.#deliveries.delete(delivery);
      });
      this.#deliveries.add(delivery);
    }
  }

  /** Resolves when no notification is under way. */
  async idle(): Promise<void> {
    await Promise.all(this.#deliveries);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.idle();
  }

  #inhibitors(alert: Alert): string[] {
    if (!matches(INHIBIT.target, alert.labels)) return [];
    return this.current()
      .filter((other) => matches(INHIBIT.source, other.labels))
      .filter((other) => INHIBIT.equal.every((name) => other.labels[name] === alert.labels[name]))
      .map((other) => other.fingerprint);
  }

  #insert(alert: Alert, now: number): void {
    const labels = Object.fromEntries(
      GROUP_BY.flatMap((name) => (alert.labels[name] === undefined ? [] : [[name, alert.labels[name]]])),
    );
    const key = JSON.stringify(labels);
    const known = this.#groups.get(key);
    const group = known ?? {
      labels,
      alerts: new Map(),
      nextFlush: now + this.pace.groupWaitMs,
      hasFlushed: false,
      busy: false,
    };
    // An alert that has waited long enough elsewhere does not wait again.
    if (!group.hasFlushed && alert.startsAt + this.pace.groupWaitMs < now) group.nextFlush = now;
    group.alerts.set(alert.fingerprint, alert);
    this.#groups.set(key, group);
  }

  async #flush(group: Group, now: number): Promise<void> {
    group.nextFlush = now + this.pace.groupIntervalMs;
    group.hasFlushed = true;
    // A snapshot: what is sent stays as it is while it is sent.
    const alerts = [...group.alerts.values()]
      .map((alert) => ({ ...alert, isFiring: alert.endsAt > now }))
      .sort((a, b) => (JSON.stringify(a.labels) < JSON.stringify(b.labels) ? -1 : 1));
    const audible = alerts.filter((alert) => {
      const { silencedBy, inhibitedBy } = this.statusOf(alert);
      return silencedBy.length + inhibitedBy.length === 0;
    });
    if (!(await this.#notify(group, audible, now))) return;
    for (const { fingerprint: id, isFiring, updatedAt } of alerts) {
      if (isFiring || group.alerts.get(id)?.updatedAt !== updatedAt) continue;
      group.alerts.delete(id);
      this.#alerts.delete(id);
    }
    if (group.alerts.size === 0) this.#groups.delete(JSON.stringify(group.labels));
  }

  /** Whether there was nothing to say, or it was said. */
  async #notify(group: Group, alerts: (Alert & { isFiring: boolean })[], now: number): Promise<boolean> {
    const ids = (isFiring: boolean) =>
      new Set(alerts.filter((alert) => alert.isFiring === isFiring).map((alert) => alert.fingerprint));
    const next: Told = { firing: ids(true), resolved: ids(false), at: now };
    const reason = reasonFor(group.told, next, this.pace.repeatIntervalMs);
    if (reason === 'none') return true;
    if (!this.webhook) return false;
    const { labels: groupLabels } = group;
    const body = webhookBody({ receiver: RECEIVER, groupLabels, alerts, reason, externalURL: this.externalUrl });
    if (!(await this.#deliver(this.webhook, body))) return false;
    group.told = next;
    return true;
  }

  async #deliver(webhook: Webhook, body: unknown): Promise<boolean> {
    const { signal } = this.#stopping;
    const window = Math.max(this.pace.groupIntervalMs, MIN_RETRY_WINDOW_MS);
    const deadline = this.#clock.monotonic() + window;
    for (let pause = RETRY_MS; !signal.aborted; pause *= RETRY_FACTOR) {
      const outcome = await post(webhook, body, signal);
      if (outcome !== 'failed') return outcome === 'delivered';
      if (this.#clock.monotonic() + pause > deadline) return false;
      await this.#clock.sleep(pause, signal).catch(() => {});
    }
    return false;
  }
}

/** Why the receiver must hear of a group, or `none`: the rules of Alertmanager's notification log. */
export function reasonFor(told: Told | undefined, next: Told, repeatIntervalMs: number): Reason {
  if (!told) return next.firing.size > 0 ? 'first notification' : 'none';
  if (!isWithin(next.firing, told.firing)) return 'new alerts added';
  if (next.firing.size === 0) return told.firing.size > 0 ? 'all alerts resolved' : 'none';
  if (!isWithin(next.resolved, told.resolved)) return 'some alerts resolved';
  return next.at - told.at >= repeatIntervalMs ? 'repeat interval elapsed' : 'none';
}

function isWithin(some: Set<string>, all: Set<string>): boolean {
  return [...some].every((id) => all.has(id));
}

/** Whether an alert passes the filters of a query. */
export function passes(alert: Alert, filters: readonly Matcher[]): boolean {
  return matchesAll(filters, alert.labels);
}
