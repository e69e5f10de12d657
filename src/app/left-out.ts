/**
 * Alerts that Alertmanager left out of a delivery (`max_alerts`): it is asked for everything that fires for the receiver,
 * and what it says is taken in as one more delivery. The intake knows which of them it has heard of before.
 */
import type { Intake } from '../alert/intake.ts';
import type { LeftOut } from '../alert/processor.ts';
import type { Clock } from '../clock.ts';
import type { Alertmanager } from '../integrations/alertmanager/index.ts';

/** A group that is always too large is told of every group_interval; asking twice a minute is soon enough for it. */
const askEvery = 30_000;
/** Time for Alertmanager to list some ten thousand alerts. */
const askFor = 10_000;
/** Alerts of one delivery, far below what the intake takes. */
const atOnce = 1_000;

export function createLeftOutReader(ports: {
  alertmanager: Pick<Alertmanager, 'firingFor'>;
  intake: Pick<Intake, 'accept'>;
  clock: Clock;
  onError(controller: string, error: unknown): void;
}): (groups: readonly LeftOut[]) => void {
  const { alertmanager, intake, clock, onError } = ports;
  const { firingFor } = alertmanager;
  const asked = new Map<string, number>();

  async function read({ source, organization, receiver, externalUrl }: LeftOut): Promise<void> {
    const alerts = (await firingFor?.({ clock, signal: AbortSignal.timeout(askFor) }, receiver)) ?? [];
    for (let from = 0; from < alerts.length; from += atOnce) {
      const document = { version: '4', receiver, externalURL: externalUrl, alerts: alerts.slice(from, from + atOnce) };
      await intake.accept({ source, organization, body: Buffer.from(JSON.stringify(document)) });
    }
  }

  return (groups) => {
    const now = clock.monotonic();
    for (const group of groups) {
      const key = JSON.stringify([group.source, group.organization, group.receiver]);
      if (!firingFor || now - (asked.get(key) ?? Number.NEGATIVE_INFINITY) < askEvery) continue;
      asked.set(key, now);
      // In the background: the next round does not wait for Alertmanager, and the next truncated delivery asks again.
      read(group).catch((error: unknown) => onError('left-out alerts', error));
    }
  };
}
