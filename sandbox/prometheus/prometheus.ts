/** Scrapes the world, evaluates the rules, and hands firing alerts to Alertmanager. */
import { RELEASED_MS, type World } from '../world.ts';
import { Database, LOOKBACK_MS, seriesKey } from './database.ts';
import { evaluate } from './evaluate.ts';
import { HttpTarget, type SteadySeries, steadySamples } from './exporters.ts';
import { Recording, type RecordingRule } from './recording.ts';
import { type AlertingRule, fillTemplate, type RuleGroup, ruleGroups } from './rules.ts';
import { type Sample, scrape } from './series.ts';
import { type Expression, parseQuery } from './syntax.ts';
import { withoutName } from './value.ts';

/** An alert as Prometheus posts it to Alertmanager. */
export interface PostedAlert {
  labels: Record<string, string>;
  annotations: Record<string, string>;
  startsAt: string;
  endsAt: string;
  generatorURL: string;
}

export interface ActiveAlert {
  labels: Record<string, string>;
  annotations: Record<string, string>;
  state: 'pending' | 'firing';
  /** When the expression began to hold, when the alert fired, when it was last sent. */
  activeAt: number;
  firedAt?: number;
  sentAt?: number;
  value: number;
}

export interface RuleState {
  rule: AlertingRule;
  expression: Expression;
  active: Map<string, ActiveAlert>;
  evaluatedAt: number;
}

/** Prometheus repeats a firing alert at least this often, and lets it lapse four times as long after. */
const RESEND_MS = 60_000;
const LAPSE_FACTOR = 4;

export class Prometheus {
  readonly #scraped = new Database();
  /** What was scraped, and what rules record of it. */
  readonly database = new Recording(this.#scraped);
  readonly groups: { group: RuleGroup; states: RuleState[] }[];
  readonly #world: World;
  readonly #send: (alerts: PostedAlert[]) => void;
  /** Where people reach it; known once it listens. */
  externalUrl = '';
  #nextScrape: number;
  readonly #since: number;
  #steady: readonly SteadySeries[] = [];
  readonly #targets: HttpTarget[] = [];

  constructor(world: World, send: (alerts: PostedAlert[]) => void) {
    this.#world = world;
    this.#send = send;
    this.groups = ruleGroups(world.pace).map((group) => ({
      group,
      states: group.rules.map((rule) => ({
        rule,
        expression: parseQuery(rule.expr),
        active: new Map(),
        evaluatedAt: 0,
      })),
    }));
    const now = world.clock.now();
    this.#nextScrape = now;
    this.#since = now - RELEASED_MS;
    this.#scraped.backfill(scrape(world), this.#since, now);
  }

  /** How often it scrapes and evaluates, in seconds. */
  get intervalSeconds(): number {
    return this.#world.pace.scrapeMs / 1000;
  }

  /** Scrapes and evaluates when it is time to. */
  tick(): void {
    const now = this.#world.clock.now();
    if (now < this.#nextScrape) return;
    this.#nextScrape = now + this.#world.pace.scrapeMs;
    const others = this.#targets.flatMap((target) => target.samples(now));
    const steady = steadySamples(this.#steady, this.#since, now);
    this.#scraped.append(now, [...scrape(this.#world), ...steady, ...others, ...this.#alertSeries()]);
    this.database.tick(now);
    for (const { states } of this.groups) for (const state of states) this.#evaluate(state, now);
  }

  /** Scrapes a program from now on. */
  addTarget(url: string, job: string): void {
    this.#targets.push(new HttpTarget(url, job));
  }

  /** Scrapes these, too, and did so for as long as everything else. */
  addSteady(series: readonly SteadySeries[]): void {
    const now = this.#world.clock.now();
    this.#steady = [...this.#steady, ...series];
    this.#scraped.backfill(steadySamples(series, this.#since, now), this.#since, now);
  }

  /** Whether an expression gives anything at this moment. */
  knows(expr: string): boolean {
    const value = evaluate(parseQuery(expr), this.database, this.#world.clock.now());
    return value.type === 'vector' && value.samples.length > 0;
  }

  /** As a reload with new rule files. The history of requests is what rules can be recorded over. */
  load(rules: readonly RecordingRule[]): void {
    const now = this.#world.clock.now();
    // Rates over five minutes need as much before them.
    this.database.load(rules, now - RELEASED_MS + LOOKBACK_MS, now);
  }

  activeAlerts(): ActiveAlert[] {
    return this.groups.flatMap(({ states }) => states.flatMap((state) => [...state.active.values()]));
  }

  /** `ALERTS{alertstate=…}`: the history of alerts that queries can see. */
  #alertSeries(): Sample[] {
    return this.activeAlerts().map(({ labels, state }) => ({
      labels: { __name__: 'ALERTS', ...labels, alertstate: state },
      value: 1,
    }));
  }

  #evaluate(state: RuleState, now: number): void {
    const { rule } = state;
    state.evaluatedAt = now;
    const result = evaluate(state.expression, this.database, now);
    const samples = result.type === 'vector' ? result.samples : [];
    const seen = new Set<string>();
    for (const sample of samples) {
      const alert = describe(rule, sample);
      const key = seriesKey(alert.labels);
      seen.add(key);
      const known = state.active.get(key);
      const activeAt = known?.activeAt ?? now;
      const isFiring = known?.state === 'firing' || now - activeAt >= rule.forMs;
      const next: ActiveAlert = { ...alert, activeAt, state: isFiring ? 'firing' : 'pending' };
      if (isFiring) next.firedAt = known?.firedAt ?? now;
      if (known?.sentAt !== undefined) next.sentAt = known.sentAt;
      state.active.set(key, next);
    }
    const gone = [...state.active].filter(([key]) => !seen.has(key));
    for (const [key] of gone) state.active.delete(key);
    this.#notify(
      rule,
      state,
      gone.map(([, alert]) => alert),
      now,
    );
  }

  #notify(rule: AlertingRule, state: RuleState, gone: ActiveAlert[], now: number): void {
    const due = [...state.active.values()].filter(
      (alert) => alert.state === 'firing' && (alert.sentAt === undefined || now - alert.sentAt >= RESEND_MS),
    );
    for (const alert of due) alert.sentAt = now;
    const ended = gone.filter((alert) => alert.sentAt !== undefined);
    const generatorURL = this.generatorUrl(rule.expr);
    const post = (alert: ActiveAlert, endsAt: number): PostedAlert => ({
      labels: alert.labels,
      annotations: alert.annotations,
      startsAt: new Date(alert.firedAt ?? alert.activeAt).toISOString(),
      endsAt: new Date(endsAt).toISOString(),
      generatorURL,
    });
    const alerts = [
      ...due.map((alert) => post(alert, now + LAPSE_FACTOR * RESEND_MS)),
      ...ended.map((alert) => post(alert, now)),
    ];
    if (alerts.length > 0) this.#send(alerts);
  }

  /** The page of an expression, as Prometheus links it. */
  generatorUrl(expr: string): string {
    // Go's query escaping: a blank is a plus, and what JavaScript leaves alone is escaped as well.
    const hex = (letter: string) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`;
    const query = encodeURIComponent(expr)
      .replaceAll('%20', '+')
      .replace(/[!'()*]/g, hex);
    return `${this.externalUrl}/graph?g0.expr=${query}&g0.tab=1`;
  }
}

function describe(rule: AlertingRule, sample: Sample): Pick<ActiveAlert, 'labels' | 'annotations' | 'value'> {
  const own = withoutName(sample.labels);
  const fill = (texts: Record<string, string>) =>
    Object.fromEntries(Object.entries(texts).map(([key, text]) => [key, fillTemplate(text, own, sample.value)]));
  return {
    labels: { ...own, ...fill(rule.labels), alertname: rule.alert },
    annotations: fill(rule.annotations),
    value: sample.value,
  };
}
