/** Instant queries. */
import { CatalystError } from '../../errors.ts';
import type { CallContext } from '../contract.ts';
import { isObject } from '../define.ts';
import { durationMs } from '../duration.ts';
import { endpointOptions } from '../endpoint.ts';
import { createHttpClient, type HttpClient, type HttpRequest } from '../http-client.ts';
import type { Secrets } from '../secrets.ts';
import type { PrometheusConfig } from './schema.ts';

export interface Sample {
  metric: Readonly<Record<string, string>>;
  /** As Prometheus writes it: `0.25`, `NaN`, `+Inf`. */
  value: string;
}

const defaultTimeout = '8s';
/** Beyond the query's own limit: so that Prometheus itself says that it timed out. */
const graceMs = 2_000;
/** Longer expressions go into the body: some proxies cut a URL at 4 KiB. */
const maxUrlExpression = 1_500;

export class PrometheusClient {
  readonly #http: HttpClient;
  readonly #timeout: string;

  constructor(config: PrometheusConfig, secrets: Secrets) {
    const endpoint = endpointOptions('prometheus', config, secrets);
    const { orgId, queryTimeout = defaultTimeout } = config;
    this.#timeout = queryTimeout;
    this.#http = createHttpClient({
      ...endpoint,
      system: 'Prometheus',
      timeoutMs: durationMs(queryTimeout) + graceMs,
      headers: async () => ({
        ...(await endpoint.headers?.()),
        ...(orgId === undefined ? {} : { 'x-scope-orgid': orgId }),
      }),
      explain: (body) => (isObject(body) && typeof body.error === 'string' ? body.error : undefined),
    });
  }

  /** The samples of an instant vector; a scalar is one sample without labels. */
  async query(context: CallContext, expression: string): Promise<Sample[]> {
    const parameters = { query: expression, timeout: this.#timeout };
    const path = '/api/v1/query';
    const request: HttpRequest =
      expression.length <= maxUrlExpression
        ? { path, query: parameters }
        : {
            path,
            method: 'POST',
            safe: true,
            headers: { 'content-type': 'application/x-www-form-urlencoded' },
            body: new URLSearchParams(parameters).toString(),
          };
    return parseAnswer(await this.#http.json(context, request));
  }

  /** `data` of a query over a range of time. */
  async queryRange(context: CallContext, parameters: Record<string, string>): Promise<unknown> {
    const path = '/api/v1/query_range';
    return dataOf(await this.#http.json(context, { path, query: { ...parameters, timeout: this.#timeout } }));
  }

  close(): void {
    this.#http.close();
  }
}

function dataOf(body: unknown): Record<string, unknown> {
  // A proxy may turn the status of an error into 200; the body still says so.
  if (!isObject(body) || body.status !== 'success' || !isObject(body.data)) {
    const said = isObject(body) && typeof body.error === 'string' ? `: ${body.error}` : '';
    throw new CatalystError('UpstreamRefused', `Prometheus answered the query with an error${said}`, {
      hint: 'Check the expression, and that the address is the API of Prometheus.',
    });
  }
  const partial = Array.isArray(body.warnings)
    ? body.warnings.map(String).filter((warning) => !warning.startsWith('PromQL'))
    : [];
  if (partial.length > 0) {
    // Remote storage that did not answer: what is there is not all there is, and absence would mean nothing.
    throw new CatalystError('UpstreamUnavailable', `Prometheus could only answer in part: ${partial[0]}`, {
      certain: true,
    });
  }
  return body.data;
}

function parseAnswer(body: unknown): Sample[] {
  const { resultType, result } = dataOf(body);
  if (resultType === 'vector' && Array.isArray(result)) return result.map(parseSample);
  if (resultType === 'scalar' && Array.isArray(result)) return [{ metric: {}, value: String(result[1]) }];
  throw new CatalystError('BadRequest', `the expression gives a ${String(resultType)}, not numbers at one time`, {
    hint: 'Wrap a range in a function such as rate() or max_over_time().',
  });
}

function parseSample(sample: unknown): Sample {
  if (isObject(sample) && isObject(sample.metric) && Array.isArray(sample.value)) {
    return { metric: sample.metric as Record<string, string>, value: String(sample.value[1]) };
  }
  // A native histogram has no single value.
  throw new CatalystError('BadRequest', 'the expression gives a histogram, not a number', {
    hint: 'Use histogram_quantile() or histogram_sum().',
  });
}
