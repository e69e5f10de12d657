/** What Alertmanager's knowledge of an alert means. */
import type { AlertQuestion, CallContext, FiringOracle } from '../contract.ts';
import type { AlertmanagerClient, KnownAlert } from './client.ts';

/**
 * An Alertmanager holds alerts in memory only. After a start it knows one again when Prometheus sends it the next time,
 * by default within a minute and at most four evaluations later; five minutes are on the safe side.
 */
const settledAfterMs = 5 * 60_000;

type Answer = Awaited<ReturnType<FiringOracle['confirmFiring']>>;

/** Asks for an alert, and for the uptime where absence alone would decide. */
export async function stateOf(
  context: CallContext,
  client: AlertmanagerClient,
  alert: Pick<AlertQuestion, 'fingerprint' | 'labels'>,
): Promise<Answer> {
  const known = await client.find(context, alert.fingerprint, alert.labels.alertname);
  const upFor = known === undefined ? context.clock.now() - (await client.startedAt(context)) : 0;
  return decideState(known, upFor);
}

/** Pure. `upFor` in milliseconds counts only for an alert that is not known. */
export function decideState(known: KnownAlert | undefined, upFor: number): Answer {
  if (known === undefined) {
    return upFor >= settledAfterMs
      ? { answer: 'notFiring', sentence: 'Alertmanager does not know the alert any more' }
      : {
          answer: 'unknown',
          sentence: 'Alertmanager was started less than five minutes ago and may not know all alerts yet',
        };
  }
  if (known.silencedBy.length > 0)
    return { answer: 'silenced', sentence: `silenced by ${known.silencedBy.join(', ')}` };
  if (known.inhibitedBy.length > 0)
    return { answer: 'firing', sentence: `fires, and is inhibited by ${known.inhibitedBy.join(', ')}` };
  return { answer: 'firing', sentence: `Alertmanager holds the alert as ${known.state}` };
}
