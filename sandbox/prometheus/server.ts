/** The HTTP API of Prometheus, version 1. */
import type { Clock } from '../../src/clock.ts';
import { type Answer, type Call, type Listening, listen, sendJson, sendText } from '../http.ts';
import { seriesKey } from './database.ts';
import { ExecutionError, evaluate } from './evaluate.ts';
import type { ActiveAlert, Prometheus } from './prometheus.ts';
import type { Labels } from './series.ts';
import { type Expression, PromqlError, parseDuration, parseQuery } from './syntax.ts';
import type { Value } from './value.ts';

export interface PrometheusServerOptions {
  prometheus: Prometheus;
  clock: Clock;
  host: string;
  port: number;
}

/** Prometheus' own limit on the points of one series in an answer. */
const MAX_POINTS = 11_000;

class BadData extends Error {}

/** Starts the query API. */
export function startPrometheus(options: PrometheusServerOptions): Promise<Listening> {
  return listen({
    host: options.host,
    port: options.port,
    handle: (call) => {
      try {
        return route(options, call);
      } catch (error) {
        if (error instanceof BadData) return sendError(call, 400, 'bad_data', error.message);
        if (error instanceof ExecutionError) return sendError(call, 422, 'execution', error.message);
        throw error;
      }
    },
    fail: (call, status, message) => sendError(call, status, status < 500 ? 'bad_data' : 'internal', message),
  });
}

function sendError(call: Pick<Call, 'response'>, status: number, errorType: string, error: string): Answer {
  return sendJson(call, status, { status: 'error', errorType, error });
}

function route(options: PrometheusServerOptions, call: Call): Answer {
  const { prometheus } = options;
  const success = (data: unknown) => sendJson(call, 200, { status: 'success', data });
  const mayPost = ['/api/v1/query', '/api/v1/query_range'].includes(call.path);
  if (call.method !== 'GET' && !(call.method === 'POST' && mayPost)) return sendText(call, 405, 'Method Not Allowed\n');
  switch (call.path) {
    case '/-/ready':
      return sendText(call, 200, 'Prometheus Server is Ready.\n');
    case '/-/healthy':
      return sendText(call, 200, 'Prometheus Server is Healthy.\n');
    case '/api/v1/query':
      return success(instantQuery(options, parameters(call)));
    case '/api/v1/query_range':
      return success(rangeQuery(options, parameters(call)));
    case '/api/v1/alerts':
      return success({ alerts: prometheus.activeAlerts().map(alertBody) });
    case '/api/v1/rules':
      return success({ groups: prometheus.groups.map((group) => groupBody(options, group)) });
    case '/api/v1/status/buildinfo':
      return success({
        version: '3.7.3',
        revision: '0000000000000000000000000000000000000000',
        branch: 'HEAD',
        buildUser: 'sandbox',
        buildDate: '20260101-00:00:00',
        goVersion: 'go1.25.4',
      });
    default:
      return sendText(call, 404, '404 page not found\n');
  }
}

/** The query string and, of a form, the body; the body wins as in Go's `FormValue`. */
function parameters(call: Call): URLSearchParams {
  const isForm = (call.headers['content-type'] ?? '').startsWith('application/x-www-form-urlencoded');
  const merged = new URLSearchParams(call.query);
  if (call.method === 'POST' && isForm)
    for (const [name, value] of new URLSearchParams(call.body)) merged.set(name, value);
  return merged;
}

function invalidParameter(name: string, message: string): BadData {
  return new BadData(`invalid parameter "${name}": ${message}`);
}

/** A moment in milliseconds, from Unix seconds or RFC 3339. */
function timeParameter(query: URLSearchParams, name: string, standard?: number): number {
  const text = query.get(name) ?? '';
  if (text === '' && standard !== undefined) return standard;
  const seconds = Number(text);
  if (text !== '' && Number.isFinite(seconds)) return seconds * 1000;
  const parsed = /^\d{4}-\d{2}-\d{2}T/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isFinite(parsed)) return parsed;
  const prefix = name === 'time' ? "Invalid time value for 'time': " : '';
  throw invalidParameter(name, `${prefix}cannot parse "${text}" to a valid timestamp`);
}

function parseParameter(query: URLSearchParams): Expression {
  return attempt(() => parseQuery(query.get('query') ?? ''));
}

/** Errors of types show only while evaluating here; Prometheus finds them while parsing. */
function attempt<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof PromqlError) throw invalidParameter('query', error.message);
    throw error;
  }
}

function instantQuery({ prometheus, clock }: PrometheusServerOptions, query: URLSearchParams) {
  const time = timeParameter(query, 'time', clock.now());
  const value = attempt(() => evaluate(parseParameter(query), prometheus.database, time));
  return { resultType: value.type, result: resultOf(value, time / 1000) };
}

function resultOf(value: Value, seconds: number): unknown {
  if (value.type === 'scalar') return [seconds, formatNumber(value.value)];
  if (value.type === 'string') return [seconds, value.value];
  if (value.type === 'vector') {
    return value.samples.map((sample) => ({ metric: sample.labels, value: [seconds, formatNumber(sample.value)] }));
  }
  return value.series.map(({ labels, points }) => ({
    metric: labels,
    values: points.map((point) => [point.time / 1000, formatNumber(point.value)]),
  }));
}

/** Prometheus sends numbers as text, infinities with their sign. */
export function formatNumber(value: number): string {
  if (Number.isFinite(value) || Number.isNaN(value)) return String(value);
  return value > 0 ? '+Inf' : '-Inf';
}

function stepParameter(query: URLSearchParams): number {
  const text = query.get('step') ?? '';
  const seconds = text === '' ? Number.NaN : Number(text);
  const step = Number.isFinite(seconds) ? seconds * 1000 : parseDuration(text);
  if (step === undefined) throw invalidParameter('step', `cannot parse "${text}" to a valid duration`);
  if (step <= 0)
    throw invalidParameter(
      'step',
      'zero or negative query resolution step widths are not accepted. Try a positive integer',
    );
  return step;
}

function rangeQuery({ prometheus }: PrometheusServerOptions, query: URLSearchParams) {
  const start = timeParameter(query, 'start');
  const end = timeParameter(query, 'end');
  if (end < start) throw invalidParameter('end', 'end timestamp must not be before start time');
  const step = stepParameter(query);
  if ((end - start) / step > MAX_POINTS) {
    throw new BadData(
      'exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)',
    );
  }
  const expression = parseParameter(query);
  const series = new Map<string, { metric: Labels; values: [number, string][] }>();
  for (let time = start; time <= end; time += step) {
    const value = attempt(() => evaluate(expression, prometheus.database, time));
    if (value.type !== 'vector' && value.type !== 'scalar') {
      throw invalidParameter(
        'query',
        `invalid expression type "${value.type === 'matrix' ? 'range vector' : 'string'}" for range query, must be Scalar or instant Vector`,
      );
    }
    const samples = value.type === 'scalar' ? [{ labels: {}, value: value.value }] : value.samples;
    for (const sample of samples) {
      const key = seriesKey(sample.labels);
      const one = series.get(key) ?? { metric: sample.labels, values: [] };
      one.values.push([time / 1000, formatNumber(sample.value)]);
      series.set(key, one);
    }
  }
  return { resultType: 'matrix', result: [...series.values()] };
}

function alertBody(alert: ActiveAlert) {
  const { labels, annotations, state, activeAt, value } = alert;
  return { labels, annotations, state, activeAt: new Date(activeAt).toISOString(), value: scientific(value) };
}

/** As Go prints it: `1e+00`. */
function scientific(value: number): string {
  return value.toExponential().replace(/e([+-])(\d)$/, 'e$10$2');
}

function groupBody({ prometheus }: PrometheusServerOptions, { group, states }: Prometheus['groups'][number]) {
  const evaluatedAt = Math.max(0, ...states.map((state) => state.evaluatedAt));
  const severity = { inactive: 0, pending: 1, firing: 2 };
  return {
    name: group.name,
    file: '/etc/prometheus/rules/catalyst.yaml',
    interval: prometheus.intervalSeconds,
    limit: 0,
    evaluationTime: 0.001,
    lastEvaluation: new Date(evaluatedAt).toISOString(),
    rules: states.map(({ rule, active, evaluatedAt: at }) => {
      const alerts = [...active.values()];
      const highest = Math.max(0, ...alerts.map((alert) => severity[alert.state]));
      return {
        state: Object.keys(severity)[highest],
        name: rule.alert,
        query: rule.expr,
        duration: rule.forMs / 1000,
        keepFiringFor: 0,
        labels: rule.labels,
        annotations: rule.annotations,
        alerts: alerts.map(alertBody),
        health: 'ok',
        evaluationTime: 0.001,
        lastEvaluation: new Date(at).toISOString(),
        type: 'alerting',
      };
    }),
  };
}
