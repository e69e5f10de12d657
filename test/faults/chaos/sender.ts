/**
 * Sends alerts as an Alertmanager does: at least once, again and again after a 5xx or a broken connection, from a pair
 * of replicas that do not always know of one another. It keeps what was acknowledged: that may not be lost.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { dice } from './chance.ts';
import { alertNames } from './runbooks.ts';

export interface Sender {
  /** Fingerprints of the alerts in deliveries that were answered 200. */
  acknowledged: ReadonlySet<string>;
  counts: { deliveries: number; acknowledged: number; refused: number; broken: number; copies: number };
  /** Answers that Alertmanager would take for the end of it: none may come. */
  lost: string[];
  /** Sends no new deliveries, and resolves when those under way are acknowledged. */
  finish(): Promise<void>;
}

export interface SenderOptions {
  seed: number;
  token: string;
  /** Where the replicas of the product listen; each delivery goes to one of them. */
  urls: readonly string[];
  /** Deliveries on their way at once. */
  lines?: number;
}

/** Alertmanager's own limit for a webhook, ms, is 10 s; a shorter one only makes more copies. */
const patience = 10_000;

export function startSender({ seed, token, urls, lines = 4 }: SenderOptions): Sender {
  const acknowledged = new Set<string>();
  const counts = { deliveries: 0, acknowledged: 0, refused: 0, broken: 0, copies: 0 };
  const lost: string[] = [];
  let finishing = false;

  async function post(url: string, body: string): Promise<boolean> {
    try {
      const response = await fetch(`${url}/hooks/alertmanager`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body,
        signal: AbortSignal.timeout(patience),
      });
      await response.arrayBuffer();
      if (response.status === 200) return true;
      if (response.status < 500) lost.push(`${response.status} for ${body.slice(0, 200)}`);
      counts.refused += 1;
    } catch {
      counts.broken += 1;
    }
    return false;
  }

  async function line(number: number): Promise<void> {
    const roll = dice(seed, `sender ${number}`);
    for (let sent = 0; !finishing; sent++) {
      const alerts = Array.from({ length: roll.whole(1, 3) }, (_, i) => alert(`${number}-${sent}-${i}`, roll.next()));
      const body = JSON.stringify({ version: '4', status: 'firing', receiver: 'catalyst', groupKey: '{}', alerts });
      counts.deliveries += 1;
      const url = () => urls[roll.whole(0, urls.length - 1)] as string;
      // The other replica of the pair sends the same, at the same time.
      const copy = roll.next() < 0.15;
      if (copy) counts.copies += 1;
      const copied = copy ? post(url(), body) : undefined;
      let taken = await post(url(), body);
      while (!taken && lost.length === 0) {
        await delay(100);
        taken = await post(url(), body);
      }
      await copied;
      counts.acknowledged += 1;
      for (const { fingerprint } of alerts) acknowledged.add(fingerprint);
      await delay(roll.whole(100, 400));
    }
  }

  const sending = Promise.all(Array.from({ length: lines }, (_, number) => line(number)));
  return {
    acknowledged,
    counts,
    lost,
    finish: async () => {
      finishing = true;
      await sending;
    },
  };
}

function alert(id: string, draw: number) {
  const alertname = alertNames[Math.floor(draw * alertNames.length)];
  return {
    status: 'firing',
    // A namespace for each: alerts of one namespace are one incident.
    labels: { alertname, namespace: `chaos-${id}`, severity: 'warning' },
    annotations: {},
    startsAt: new Date().toISOString(),
    endsAt: '0001-01-01T00:00:00Z',
    generatorURL: '',
    fingerprint: `chaos-${id}`,
  };
}
