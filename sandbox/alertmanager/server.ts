/** The HTTP API of Alertmanager, version 2. */
import type { Clock } from '../../src/clock.ts';
import { type Answer, type Call, type Listening, listen, sendJson, sendText } from '../http.ts';
import { isTree } from '../kubernetes/object.ts';
import type { Alert } from './alert.ts';
import { type Alertmanager, GROUP_BY, type Group, type NewAlert, passes, RECEIVER } from './alertmanager.ts';
import { type Matcher, MatcherError, parseMatcher } from './matchers.ts';
import { type Silence, SilenceError } from './silences.ts';

export interface AlertmanagerServerOptions {
  alertmanager: Alertmanager;
  clock: Clock;
  host: string;
  port: number;
}

/** What the generated part of the real server refuses: a status, a code of its own and a message. */
class SchemaError extends Error {
  readonly status: number;
  readonly code: number;

  constructor(status: number, code: number, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Codes of go-openapi: a wrong type, a missing member. */
const WRONG_TYPE = 601;
const REQUIRED = 602;

const METHODS: Record<string, string> = {
  '/status': 'GET',
  '/receivers': 'GET',
  '/alerts': 'GET,POST',
  '/alerts/groups': 'GET',
  '/silences': 'GET,POST',
};

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Starts the API. */
export function startAlertmanager(options: AlertmanagerServerOptions): Promise<Listening> {
  return listen({
    host: options.host,
    port: options.port,
    handle: (call) => {
      try {
        return route(options.alertmanager, call);
      } catch (error) {
        if (error instanceof SchemaError)
          return sendJson(call, error.status, { code: error.code, message: error.message });
        if (error instanceof SilenceError) return sendJson(call, error.status, error.message);
        if (error instanceof MatcherError) return sendJson(call, 400, error.message);
        throw error;
      }
    },
    fail: (call, status, message) => sendJson(call, status, { code: status, message }),
  });
}

function route(manager: Alertmanager, call: Call): Answer {
  const { method, path, parts } = call;
  if (path === '/-/ready' || path === '/-/healthy') return sendText(call, 200, 'OK');
  const known = path.startsWith('/api/v2/') ? `${method} /${parts.slice(2).join('/')}` : '';
  switch (known) {
    case 'GET /status':
      return sendJson(call, 200, statusBody(manager));
    case 'GET /receivers':
      return sendJson(call, 200, [{ name: RECEIVER }]);
    case 'GET /alerts':
      return sendJson(
        call,
        200,
        selectAlerts(manager, call).map((alert) => alertBody(manager, alert)),
      );
    case 'POST /alerts':
      return postAlerts(manager, call);
    case 'GET /alerts/groups':
      return sendJson(call, 200, groupBodies(manager, call));
    case 'GET /silences':
      return sendJson(call, 200, selectSilences(manager, call));
    case 'POST /silences':
      return postSilence(manager, call);
  }
  if (parts.length === 4 && parts[2] === 'silence' && path.startsWith('/api/v2/')) return oneSilence(manager, call);
  if (!path.startsWith('/api/v2/')) return sendText(call, 404, '404 page not found\n');
  const allowed = METHODS[`/${parts.slice(2).join('/')}`];
  if (allowed) throw new SchemaError(405, 405, `method ${method} is not allowed, but [${allowed}] are`);
  throw new SchemaError(404, 404, `path ${path} was not found`);
}

const isOn = (query: URLSearchParams, name: string) => query.get(name) !== 'false';

function selectAlerts(manager: Alertmanager, { query }: Call, alerts = manager.current()): Alert[] {
  const filters = query.getAll('filter').map(parseMatcher);
  const receiver = query.get('receiver');
  if (receiver !== null && !receiverPattern(receiver).test(RECEIVER)) return [];
  return alerts.filter((alert) => {
    const { state, silencedBy, inhibitedBy } = manager.statusOf(alert);
    if (!isOn(query, 'active') && state === 'active') return false;
    if (!isOn(query, 'silenced') && silencedBy.length > 0) return false;
    if (!isOn(query, 'inhibited') && inhibitedBy.length > 0) return false;
    return passes(alert, filters);
  });
}

function receiverPattern(text: string): RegExp {
  try {
    return new RegExp(`^(?:${text})$`);
  } catch (error) {
    throw new MatcherError(`failed to parse receiver param: ${error instanceof Error ? error.message : ''}`);
  }
}

const time = (milliseconds: number) => new Date(milliseconds).toISOString();

function alertBody(manager: Alertmanager, alert: Alert) {
  const { annotations, endsAt, fingerprint, startsAt, updatedAt, generatorURL, labels } = alert;
  return {
    annotations,
    endsAt: time(endsAt),
    fingerprint,
    receivers: [{ name: RECEIVER }],
    startsAt: time(startsAt),
    status: { ...manager.statusOf(alert), mutedBy: [] },
    updatedAt: time(updatedAt),
    ...(generatorURL === '' ? {} : { generatorURL }),
    labels,
  };
}

function groupBodies(manager: Alertmanager, call: Call) {
  const now = new Set(manager.current());
  return manager
    .groups()
    .map((group: Group) => ({
      group,
      alerts: selectAlerts(
        manager,
        call,
        [...group.alerts.values()].filter((a) => now.has(a)),
      ),
    }))
    .filter(({ alerts }) => alerts.length > 0)
    .map(({ group, alerts }) => ({
      labels: group.labels,
      routeLabels: {},
      receiver: { name: RECEIVER },
      alerts: alerts.map((alert) => alertBody(manager, alert)),
    }));
}

function parseBody(call: Call, what: string): unknown {
  if (!(call.headers['content-type'] ?? '').startsWith('application/json')) {
    const got = call.headers['content-type'] ?? '';
    throw new SchemaError(415, 415, `unsupported media type "${got}", only [application/json] are allowed`);
  }
  try {
    return JSON.parse(call.body);
  } catch (error) {
    const why = error instanceof Error ? error.message : '';
    throw new SchemaError(400, 400, `parsing ${what} body from "" failed, because ${why}`);
  }
}

function required(tree: Record<string, unknown>, name: string, prefix = ''): unknown {
  if (tree[name] !== undefined && tree[name] !== null) return tree[name];
  throw new SchemaError(422, REQUIRED, `${prefix}${name} in body is required`);
}

function postAlerts(manager: Alertmanager, call: Call): Answer {
  const body = parseBody(call, 'alerts');
  if (!Array.isArray(body))
    throw new SchemaError(400, 400, 'parsing alerts body from "" failed, because it is not a list');
  const alerts = body.map((item: unknown, at): NewAlert => {
    const tree = isTree(item) ? item : {};
    const labels = required(tree, 'labels', `${at}.`);
    for (const name of ['startsAt', 'endsAt']) dateTime(tree[name], `${at}.${name}`, 'alerts');
    return { ...tree, labels } as NewAlert;
  });
  // The valid ones are kept even when others are refused.
  const problems = alerts.map(problemOf);
  manager.receive(alerts.filter((_, at) => problems[at] === undefined));
  const found = problems.filter((problem) => problem !== undefined);
  if (found.length > 0) return sendJson(call, 400, found.join('; '));
  return sendText(call, 200);
}

function problemOf({ labels, startsAt, endsAt }: NewAlert): string | undefined {
  const names = Object.keys(labels).filter((name) => labels[name] !== '');
  if (names.length === 0) return 'at least one label pair required';
  const bad = names.find((name) => !/^[A-Za-z_][\w]*$/.test(name));
  if (bad !== undefined) return `invalid label set: invalid name "${bad}"`;
  if (startsAt && endsAt && Date.parse(endsAt) < Date.parse(startsAt)) return 'start time must be before end time';
  return undefined;
}

function dateTime(value: unknown, where: string, what: string): number {
  if (value === undefined) return Number.NaN;
  const parsed = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  if (Number.isFinite(parsed)) return parsed;
  const why = `parsing time ${JSON.stringify(value)} of ${where}`;
  throw new SchemaError(400, 400, `parsing ${what} body from "" failed, because ${why}`);
}

function silenceBody(manager: Alertmanager, silence: Silence) {
  const { id, matchers, startsAt, endsAt, updatedAt, createdBy, comment, annotations } = silence;
  return {
    id,
    status: { state: manager.silences.stateOf(silence) },
    updatedAt: time(updatedAt),
    comment,
    createdBy,
    endsAt: time(endsAt),
    startsAt: time(startsAt),
    matchers,
    annotations,
  };
}

function selectSilences(manager: Alertmanager, { query }: Call) {
  const filters = query.getAll('filter').map(parseMatcher);
  const same = (a: Matcher, b: Matcher) =>
    a.name === b.name && a.value === b.value && a.isRegex === b.isRegex && a.isEqual === b.isEqual;
  return manager.silences
    .list()
    .filter((silence) => isOn(query, manager.silences.stateOf(silence)))
    .filter((silence) => filters.every((filter) => silence.matchers.some((matcher) => same(matcher, filter))))
    .map((silence) => silenceBody(manager, silence));
}

function postSilence(manager: Alertmanager, call: Call): Answer {
  const body = parseBody(call, 'silence');
  if (!isTree(body))
    throw new SchemaError(400, 400, 'parsing silence body from "" failed, because it is not an object');
  const text = (name: string) => String(required(body, name));
  const when = (name: string) => dateTime(required(body, name), name, 'silence');
  const list = required(body, 'matchers');
  if (!Array.isArray(list) || list.length === 0) {
    throw new SchemaError(422, 612, 'matchers in body should have at least 1 items');
  }
  const silenceID = manager.silences.set({
    id: typeof body.id === 'string' && body.id !== '' ? body.id : undefined,
    matchers: list.map((item: unknown, at) => {
      const tree = isTree(item) ? item : {};
      const [name, value, isRegex] = ['name', 'value', 'isRegex'].map((key) => required(tree, key, `matchers.${at}.`));
      return { name: String(name), value: String(value), isRegex: isRegex === true, isEqual: tree.isEqual !== false };
    }),
    startsAt: when('startsAt'),
    endsAt: when('endsAt'),
    createdBy: text('createdBy'),
    comment: text('comment'),
    annotations: isTree(body.annotations) ? (body.annotations as Record<string, string>) : {},
  });
  return sendJson(call, 200, { silenceID });
}

function oneSilence(manager: Alertmanager, call: Call): Answer {
  const id = call.parts[3] ?? '';
  if (!UUID.test(id)) {
    throw new SchemaError(422, WRONG_TYPE, `silenceID in path must be of type uuid: ${JSON.stringify(id)}`);
  }
  const silence = manager.silences.get(id);
  if (!silence) return sendText(call, 404);
  if (call.method === 'GET') return sendJson(call, 200, silenceBody(manager, silence));
  if (call.method !== 'DELETE') {
    throw new SchemaError(405, 405, `method ${call.method} is not allowed, but [DELETE,GET] are`);
  }
  manager.silences.expire(id);
  return sendText(call, 200);
}

/** The configuration it would have been started with; the token of the webhook is a file there, and not shown. */
function configText(manager: Alertmanager): string {
  const seconds = (ms: number) => `${ms}ms`;
  const { groupWaitMs, groupIntervalMs, repeatIntervalMs } = manager.pace;
  const lines = [
    'route:',
    `  receiver: ${RECEIVER}`,
    `  group_by: [${GROUP_BY.join(', ')}]`,
    `  group_wait: ${seconds(groupWaitMs)}`,
    `  group_interval: ${seconds(groupIntervalMs)}`,
    `  repeat_interval: ${seconds(repeatIntervalMs)}`,
    'receivers:',
    `- name: ${RECEIVER}`,
    ...(manager.webhook ? ['  webhook_configs:', '  - send_resolved: true', '    url: <secret>'] : []),
  ];
  return `${lines.join('\n')}\n`;
}

function statusBody(manager: Alertmanager) {
  return {
    cluster: { status: 'disabled', peers: [] },
    versionInfo: {
      version: '0.34.0',
      revision: '0000000000000000000000000000000000000000',
      branch: 'HEAD',
      buildUser: 'sandbox',
      buildDate: '20260101-00:00:00',
      goVersion: 'go1.25.4',
    },
    config: { original: configText(manager) },
    uptime: time(manager.startedAt),
  };
}
