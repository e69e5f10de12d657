/** Does an alert still fire? Asked with the alert's own expression, and of the alerts Prometheus says it has. */
import type { AlertQuestion, FiringOracle } from '../contract.ts';
import type { PrometheusClient, Sample } from './client.ts';

type Answer = Awaited<ReturnType<FiringOracle['confirmFiring']>>;

export function prometheusOracle(
  client: () => PrometheusClient,
  externalUrls: readonly string[] | undefined,
): FiringOracle {
  return {
    async confirmFiring(context, alert) {
      const expression = expressionOf(alert.generatorUrl, externalUrls);
      if (expression === undefined) return unknown('the alert does not link to an expression of this Prometheus');
      const [samples, alerts] = await Promise.all([
        client().query(context, expression),
        client().query(context, `ALERTS{alertname=${quote(alert.labels.alertname ?? '')}}`),
      ]);
      return decideFiring(alert, samples, alerts);
    },
  };
}

/** Reads the expression out of a link such as `http://prometheus/graph?g0.expr=up+%3D%3D+0`. The link itself is never followed. */
export function expressionOf(generatorUrl: string, externalUrls: readonly string[] | undefined): string | undefined {
  if (!URL.canParse(generatorUrl)) return undefined;
  const url = new URL(generatorUrl);
  if (externalUrls !== undefined && !externalUrls.some((one) => generatorUrl.startsWith(one))) return undefined;
  const expression = url.searchParams.get('g0.expr');
  return expression === null || expression.trim() === '' ? undefined : expression;
}

/**
 * Firing when the expression gives a sample that fits the alert, or when Prometheus lists the alert itself. A rule may
 * overwrite labels of its samples, so that samples which do not fit are proof only where ALERTS is there to compare.
 */
export function decideFiring(alert: AlertQuestion, samples: readonly Sample[], alerts: readonly Sample[]): Answer {
  const listed = alerts.some(
    ({ metric }) => metric.alertstate === 'firing' && fits(metric, alert, ['__name__', 'alertstate', 'alertname']),
  );
  if (listed) return { answer: 'firing', sentence: 'Prometheus lists the alert as firing' };
  if (samples.some(({ metric }) => fits(metric, alert, ['__name__'])))
    return { answer: 'firing', sentence: "the alert's own expression still gives its sample" };
  if (samples.length === 0)
    return { answer: 'notFiring', sentence: "The alert's own expression gives no sample any more." };
  if (alerts.length > 0) return { answer: 'notFiring', sentence: `${samples.length} others fire, but not this one` };
  return unknown(
    "the alert's expression gives samples, but none with its labels, and Prometheus does not list the alert to compare",
  );
}

/** Every label of the sample is one of the alert's; labels the rule or the Alertmanager added do not count against it. */
function fits(metric: Sample['metric'], alert: AlertQuestion, ignored: readonly string[]): boolean {
  return Object.entries(metric).every(([name, value]) => ignored.includes(name) || alert.labels[name] === value);
}

const unknown = (sentence: string): Answer => ({ answer: 'unknown', sentence });

/** A string as PromQL quotes it. */
function quote(text: string): string {
  return JSON.stringify(text);
}
