/** The calls to Alertmanager's API, version 2. */
import { CatalystError } from '../../errors.ts';
import type { CallContext, Json } from '../contract.ts';
import { isObject } from '../define.ts';
import { endpointOptions } from '../endpoint.ts';
import { createHttpClient, type HttpClient } from '../http-client.ts';
import type { Secrets } from '../secrets.ts';
import type { AlertmanagerConfig } from './schema.ts';

export interface KnownAlert {
  fingerprint: string;
  labels: Record<string, string>;
  state: string;
  silencedBy: readonly string[];
  inhibitedBy: readonly string[];
}

export interface Silence {
  id: string;
  state: string;
  comment: string;
  endsAt: string;
}

export interface NewSilence {
  matchers: readonly { name: string; value: string; isRegex: boolean; isEqual: boolean }[];
  startsAt: string;
  endsAt: string;
  createdBy: string;
  comment: string;
}

export class AlertmanagerClient {
  readonly #http: HttpClient;

  constructor(config: AlertmanagerConfig, secrets: Secrets) {
    this.#http = createHttpClient({
      ...endpointOptions('alertmanager', config, secrets),
      system: 'Alertmanager',
      // Version 2 answers an error with a JSON string.
      explain: (body) => (typeof body === 'string' ? body : undefined),
    });
  }

  /** When this Alertmanager was started, milliseconds since the epoch. */
  async startedAt(context: CallContext): Promise<number> {
    const status = await this.#http.json(context, { path: '/api/v2/status' });
    const at = isObject(status) ? Date.parse(String(status.uptime)) : Number.NaN;
    if (Number.isNaN(at)) throw unexpected('status');
    return at;
  }

  /** The alert with this fingerprint, whatever its state; its name narrows what is transferred. */
  async find(context: CallContext, fingerprint: string, alertName?: string): Promise<KnownAlert | undefined> {
    const filter = alertName === undefined ? undefined : `alertname=${JSON.stringify(alertName)}`;
    const query = { active: 'true', silenced: 'true', inhibited: 'true', unprocessed: 'true', filter };
    const alerts = await this.#http.json(context, { path: '/api/v2/alerts', query });
    if (!Array.isArray(alerts)) throw unexpected('alerts');
    const found = alerts.filter(isObject).find((alert) => alert.fingerprint === fingerprint);
    if (found === undefined) return undefined;
    const { status, labels } = found;
    if (!isObject(status) || !isObject(labels)) throw unexpected('alerts');
    const ids = (value: unknown) => (Array.isArray(value) ? value.map(String) : []);
    return {
      fingerprint,
      labels: labels as Record<string, string>,
      state: String(status.state),
      silencedBy: ids(status.silencedBy),
      inhibitedBy: ids(status.inhibitedBy),
    };
  }

  /** The alerts that fire for a receiver, neither silenced nor inhibited, as the webhook would tell of them. */
  async firingFor(context: CallContext, receiver: string): Promise<Json[]> {
    const query = {
      active: 'true',
      silenced: 'false',
      inhibited: 'false',
      unprocessed: 'false',
      // Taken as a regular expression, anchored.
      receiver: receiver.replaceAll(/[\\^$.|?*+()[\]{}]/g, '\\$&'),
    };
    const alerts = await this.#http.json(context, { path: '/api/v2/alerts', query });
    if (!Array.isArray(alerts)) throw unexpected('alerts');
    return alerts.filter(isObject).map((alert) => {
      const { labels, annotations, startsAt, generatorURL, fingerprint } = alert as { [key: string]: Json };
      // Of an alert that fires, `endsAt` here is when Alertmanager will forget it; a webhook has the zero time.
      return { status: 'firing', labels, annotations, startsAt, generatorURL, fingerprint } as Json;
    });
  }

  async silences(context: CallContext): Promise<Silence[]> {
    const silences = await this.#http.json(context, { path: '/api/v2/silences' });
    if (!Array.isArray(silences)) throw unexpected('silences');
    return silences.filter(isObject).map((one) => ({
      id: String(one.id),
      state: isObject(one.status) ? String(one.status.state) : '',
      comment: String(one.comment),
      endsAt: String(one.endsAt),
    }));
  }

  /** Returns the new silence's id. */
  async silence(context: CallContext, silence: NewSilence): Promise<string> {
    const answer = await this.#http.json(context, { method: 'POST', path: '/api/v2/silences', json: silence });
    if (isObject(answer) && typeof answer.silenceID === 'string') return answer.silenceID;
    throw unexpected('a new silence');
  }

  async expire(context: CallContext, id: string): Promise<void> {
    await this.#http.request(context, { method: 'DELETE', path: `/api/v2/silence/${encodeURIComponent(id)}` });
  }

  close(): void {
    this.#http.close();
  }
}

function unexpected(what: string): CatalystError {
  return new CatalystError('UpstreamRefused', `Alertmanager answered ${what} in a shape that is not its API's`, {
    hint: 'Check that the address configured is Alertmanager.',
    certain: false,
  });
}
