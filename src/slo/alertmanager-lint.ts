/** What is wrong with an Alertmanager configuration that amtool finds in order. */
import type { LabelMatcher } from '../catalog/compiled-runbook.ts';
import type { Origin } from '../catalog/document.ts';
import { contradiction, MatcherError, parseMatcher } from '../catalog/matcher.ts';
import type { Problem } from '../catalog/resource.ts';
import type { Path } from '../catalog/schema.ts';
import { parseYaml } from '../catalog/yaml-text.ts';
import { didYouMean } from '../check/nearest.ts';
import type { DeclaredAlert } from './answer-lint.ts';
import { scrapeLabels } from './metric-catalog.ts';
import { placeholderIn } from './slo-lint.ts';

type Say = (severity: Problem['severity'], rule: string, path: Path, sentence: string, offset?: number) => void;

/** A parsed configuration; every part of it may be missing or of another type. */
interface Configuration {
  route?: Route;
  receivers?: Receiver[];
  inhibit_rules?: unknown[];
}

interface Route {
  receiver?: string;
  match?: Record<string, string>;
  match_re?: Record<string, string>;
  matchers?: string[];
  group_by?: string[];
  repeat_interval?: string;
  continue?: boolean;
  routes?: Route[];
}

interface Receiver {
  name?: string;
  webhook_configs?: Webhook[];
  [integration: string]: unknown;
}

interface Webhook {
  url?: string;
  url_file?: string;
  send_resolved?: boolean;
  payload?: unknown;
  http_config?: { authorization?: { credentials_file?: string }; basic_auth?: unknown };
}

/** Whether a text is an Alertmanager configuration rather than documents of ours. */
export function isAlertmanagerConfiguration(text: string): boolean {
  return /^route:/m.test(text) && /^receivers:/m.test(text) && !/^apiVersion:/m.test(text);
}

/** @param alerts those it has to route; may be empty */
export function lintAlertmanager(text: string, origin: Origin, alerts: readonly DeclaredAlert[]): Problem[] {
  const { value, problems: syntax, positions } = parseYaml(text);
  const problems: Problem[] = syntax.map((p) => ({
    severity: 'error',
    source: origin.source,
    file: origin.file,
    ...p,
  }));
  if (problems.length > 0 || !isMap(value)) return problems;
  const say: Say = (severity, rule, path, sentence, offset) =>
    problems.push({
      severity,
      rule,
      sentence,
      source: origin.source,
      file: origin.file,
      ...positions.value(path, offset),
    });
  const configuration = value as Configuration;
  placeholders(value, [], say);
  lintReceivers(configuration, say);
  if (isMap(configuration.route)) lintRoutes(configuration, alerts, say);
  if (!Array.isArray(configuration.inhibit_rules))
    say(
      'warning',
      'no-inhibition',
      ['route'],
      'Nothing is inhibited: one cause brings all of its symptoms. Add inhibit_rules, at least that critical silences warning of the same alert.',
    );
  return problems.sort((a, b) => a.line - b.line || a.column - b.column);
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function placeholders(value: unknown, path: Path, say: Say): void {
  if (typeof value === 'string') {
    const found = placeholderIn(value);
    if (found) say('error', 'placeholder', path, `${found.text} is a placeholder. Put in what is meant.`, found.offset);
  } else if (typeof value === 'object' && value !== null)
    for (const [key, inside] of Object.entries(value))
      placeholders(inside, [...path, Array.isArray(value) ? Number(key) : key], say);
}

function lintReceivers({ receivers }: Configuration, say: Say): void {
  const resolved = new Set<boolean>();
  const all: { path: Path; hook: Webhook }[] = [];
  list(receivers).forEach((receiver, i) => {
    list(receiver.webhook_configs).forEach((hook, k) => {
      const path = ['receivers', i, 'webhook_configs', k];
      all.push({ path, hook });
      resolved.add(hook.send_resolved !== undefined);
      lintWebhook(hook, path, say);
    });
  });
  if (resolved.size < 2) return;
  for (const { path, hook } of all)
    if (hook.send_resolved === undefined)
      say(
        'warning',
        'send-resolved-implicit',
        path,
        'Other receivers say send_resolved and this one does not; it is true where nothing is said. Write what is meant.',
      );
}

function list<T>(value: readonly T[] | undefined): readonly T[] {
  return Array.isArray(value) ? value.filter(isMap as (v: T) => v is T & Record<string, unknown>) : [];
}

function lintWebhook(hook: Webhook, path: Path, say: Say): void {
  const { url = '', payload, http_config: http } = hook;
  const at = [...path, 'url'];
  if (/\/api\/v1\/repos\/[^/]+\/[^/]+\/actions\/dispatches\/?$/.test(url))
    say(
      'error',
      'no-such-route',
      at,
      'Gitea has no route …/actions/dispatches and answers 404, and Alertmanager does not try again after a 4xx: the alert is lost. Catalyst SRE serves this path; point the URL at it, best at /hooks/alertmanager.',
    );
  if (/\/actions\/workflows\/[^/]+\/dispatches\/?$/.test(url) && payload === undefined)
    say(
      'error',
      'body-refused',
      at,
      "Gitea's workflow route wants {ref, inputs} and answers 422 to Alertmanager's own body. Give a payload (Alertmanager 0.32 or newer), or let Catalyst SRE receive the alert.",
    );
  const file = http?.authorization?.credentials_file;
  if (url.includes('/hooks/alertmanager') && file === undefined)
    say(
      'error',
      'no-credentials',
      path,
      'The receiver wants a bearer token. Add http_config.authorization.credentials_file.',
    );
  if (file !== undefined && !file.startsWith('/'))
    say(
      'warning',
      'relative-credentials-file',
      [...path, 'http_config', 'authorization', 'credentials_file'],
      'A relative path is looked up beside the configuration file. Write the whole path.',
    );
}

/** A route with what has to hold for an alert to get there. */
interface Placed {
  route: Route;
  path: Path;
  matchers: LabelMatcher[];
  children: Placed[];
}

function lintRoutes(configuration: Configuration, alerts: readonly DeclaredAlert[], say: Say): void {
  const root = place(configuration.route ?? {}, ['route'], say);
  const names = new Set(list(configuration.receivers).map(({ name }) => name));
  const labels = new Set([
    ...scrapeLabels,
    'alertname',
    'severity',
    ...alerts.flatMap(({ labels: carried }) => [...carried.labels]),
  ]);
  visit(root, (placed) => lintRoute(placed, names, alerts.length > 0 ? labels : undefined, say));
  visit(root, (placed) => lintPartialLabels(placed, alerts, say));
  if (root.route.repeat_interval === undefined)
    say(
      'warning',
      'no-repeat-interval',
      ['route'],
      'repeat_interval is not set: an alert nobody attended to is told again only after four hours. Write how long that may take.',
    );
  const heartbeat = reaches(root, { alertname: 'Watchdog', severity: 'info' }).map(({ route }) => route);
  if (heartbeat.every((route) => route === root.route))
    say(
      'error',
      'no-dead-man',
      ['route'],
      'No route is for a Watchdog alert: when Prometheus, Alertmanager or the way between breaks, nothing is heard, and nobody notices. Route it to a service that calls people when it is no longer called.',
    );
  else if (heartbeat.every((route) => silentReceivers(configuration).has(route.receiver)))
    say(
      'warning',
      'dead-man-tells-nobody',
      ['route'],
      'The Watchdog alert ends at a receiver that tells nobody. Give it a service outside of the Sovereign that calls people when it is no longer called (render alertmanager --heartbeat-url).',
    );
  lintReach(root, configuration, alerts, say);
}

function silentReceivers({ receivers }: Configuration): Set<string | undefined> {
  const silent = list(receivers).filter((one) => Object.keys(one).every((key) => !key.endsWith('_configs')));
  return new Set(silent.map(({ name }) => name));
}

function place(route: Route, path: Path, say: Say): Placed {
  const matchers: LabelMatcher[] = [];
  const add = (text: string, at: Path) => {
    try {
      matchers.push(parseMatcher(text));
    } catch (error) {
      if (!(error instanceof MatcherError)) throw error;
      say('error', 'wrong-matcher', at, error.message, error.offset);
    }
  };
  if (Array.isArray(route.matchers))
    for (const [i, text] of route.matchers.entries()) add(String(text), [...path, 'matchers', i]);
  for (const [key, operator] of [
    ['match', '='],
    ['match_re', '=~'],
  ] as const) {
    if (!isMap(route[key])) continue;
    say(
      'warning',
      'deprecated-match',
      [...path, key],
      `${key} is deprecated. Write matchers: ${Object.entries(route[key] ?? {})
        .map(([label, value]) => `['${label}${operator}"${value}"']`)
        .join(', ')}.`,
    );
    for (const [label, value] of Object.entries(route[key] ?? {}))
      add(`${label}${operator}${JSON.stringify(String(value))}`, [...path, key, label]);
  }
  const children = list(route.routes).map((child, i) => place(child, [...path, 'routes', i], say));
  return { route, path, matchers, children };
}

function visit(placed: Placed, look: (placed: Placed) => void): void {
  look(placed);
  for (const child of placed.children) visit(child, look);
}

function lintRoute(
  placed: Placed,
  receivers: ReadonlySet<string | undefined>,
  labels: ReadonlySet<string> | undefined,
  say: Say,
): void {
  const { route, path, matchers, children } = placed;
  if (route.receiver !== undefined && !receivers.has(route.receiver))
    say(
      'error',
      'unknown-receiver',
      [...path, 'receiver'],
      `There is no receiver ${route.receiver}.${didYouMean(route.receiver, [...receivers].map(String))}`,
    );
  const clash = contradiction(matchers);
  if (clash)
    say(
      'error',
      'unreachable-route',
      path,
      `No alert can get here: its matchers of ${clash.label} exclude each other.`,
    );
  const grouped = Array.isArray(route.group_by) ? route.group_by : [];
  grouped.forEach((label, i) => {
    if (label !== '...' && labels && !labels.has(label))
      say(
        'error',
        'unknown-label',
        [...path, 'group_by', i],
        `No alert has a label ${label}, so nothing is told apart by it.${didYouMean(label, labels)}`,
      );
  });
  if (
    grouped.length > 0 &&
    !grouped.includes('namespace') &&
    !grouped.includes('...') &&
    !grouped.includes('slo') &&
    placed.path.length > 1 &&
    !only(matchers, 'alertname')
  )
    say(
      'warning',
      'group-drops-namespace',
      [...path, 'group_by'],
      'namespace is not among these labels, so the alerts of all namespaces come in one notification. Add it.',
    );
  shadowed(children, say);
}

const only = (matchers: readonly LabelMatcher[], label: string) =>
  matchers.length > 0 && matchers.every((m) => m.label === label && m.operator === '=');

/** A label that only some alerts carry tells the others apart by nothing, unless their namespace does. */
function lintPartialLabels({ route, path }: Placed, alerts: readonly DeclaredAlert[], say: Say): void {
  const grouped = Array.isArray(route.group_by) ? route.group_by : [];
  if (grouped.includes('namespace') || grouped.includes('...')) return;
  grouped.forEach((label, i) => {
    const carriers = new Set(alerts.filter(({ labels }) => labels.labels.has(label)).map(({ alert }) => alert));
    if (carriers.size === 0 || alerts.every(({ labels }) => labels.open || labels.labels.has(label))) return;
    say(
      'error',
      'partial-label',
      [...path, 'group_by', i],
      `Only ${[...carriers].slice(0, 3).join(', ')}${carriers.size > 3 ? ' and some others' : ''} carry the label ${label}, because their rules add it; all other alerts of this route are told apart by the rest of group_by alone. Add namespace.`,
    );
  });
}

/** An alert stops at the first route that matches, unless that says continue. */
function shadowed(routes: readonly Placed[], say: Say): void {
  routes.forEach((later, i) => {
    for (const earlier of routes.slice(0, i)) {
      if (earlier.route.continue || earlier.route.receiver === later.route.receiver) continue;
      // A route for one alert by name is meant to keep it.
      if (earlier.matchers.some((m) => m.label === 'alertname' && m.operator === '=')) continue;
      if (contradiction([...earlier.matchers, ...later.matchers])) continue;
      const text = (ms: readonly LabelMatcher[]) => ms.map((m) => `${m.label}${m.operator}"${m.value}"`).join(', ');
      const all = earlier.matchers.every((m) => later.matchers.some((n) => same(m, n)));
      say(
        'error',
        all ? 'unreachable-route' : 'route-shadowed',
        later.path,
        `Alerts with ${text([...earlier.matchers, ...later.matchers])} stop at the route to ${earlier.route.receiver} before this one and never reach ${later.route.receiver}. Put this route first with continue: true.`,
      );
    }
  });
}

const same = (a: LabelMatcher, b: LabelMatcher) =>
  a.label === b.label && a.operator === b.operator && a.value === b.value;

type LabelSet = Readonly<Record<string, string>>;

/** The routes an alert ends at, as Alertmanager finds them. */
function reaches(placed: Placed, labels: LabelSet): Placed[] {
  if (!placed.matchers.every((m) => m.matches(labels))) return [];
  const found: Placed[] = [];
  for (const child of placed.children) {
    const inside = reaches(child, labels);
    found.push(...inside);
    if (inside.length > 0 && !child.route.continue) break;
  }
  return found.length > 0 ? found : [placed];
}

/** Alerts that end at a receiver which tells nobody. */
function lintReach(root: Placed, configuration: Configuration, alerts: readonly DeclaredAlert[], say: Say): void {
  const silent = silentReceivers(configuration);
  const lost = new Map<Placed, string[]>();
  for (const { alert, severity, fixed, labels } of alerts) {
    if (alert === 'Watchdog') continue;
    const carried = Object.fromEntries([...labels.labels].map((label) => [label, 'x']));
    const ends = reaches(root, { ...carried, ...fixed, alertname: alert, severity });
    const [first] = ends;
    if (first && ends.every(({ route }) => silent.has(route.receiver ?? root.route.receiver)))
      lost.set(first, [...(lost.get(first) ?? []), alert]);
  }
  for (const [{ path, route }, names] of lost)
    say(
      'error',
      'reaches-nobody',
      path,
      `${[...new Set(names)].slice(0, 5).join(', ')} ${names.length > 5 ? 'and others ' : ''}end at the receiver ${route.receiver ?? root.route.receiver}, which tells nobody.`,
    );
}
