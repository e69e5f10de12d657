/** The port through which pages leave: by name of the receiver, once per call; retrying is the outbox's. */
import type { Clock } from '../../clock.ts';
import { CatalystError } from '../../errors.ts';
import type { Secrets } from '../secrets.ts';
import { createMatrix } from './matrix.ts';
import type { Page } from './page.ts';
import type { NotifyConfig } from './schema.ts';
import { createSmtp } from './smtp.ts';
import { createWebhook } from './webhook.ts';

export interface PagerPorts {
  secrets: Secrets;
  clock: Clock;
}

export interface Pager {
  /** Names of the receivers there are. */
  readonly receivers: readonly string[];
  /** The receivers by which a person is reached; none where no one is configured for them. */
  receiversOf(person: string): readonly string[];
  /** Delivers a page to a receiver, or to the default one. Throws CatalystError; with `retryable` set another try can help. */
  deliver(receiver: string | undefined, page: Page, signal: AbortSignal): Promise<void>;
  /** The receiver a name stands for. Throws NotConfigured. */
  resolve(receiver: string | undefined): string;
  close(): void;
}

function channelOf(receiver: NotifyConfig['receivers'][string], secrets: Secrets) {
  if ('webhook' in receiver) return createWebhook(receiver.webhook, secrets);
  return 'smtp' in receiver ? createSmtp(receiver.smtp, secrets) : createMatrix(receiver.matrix, secrets);
}

export function createPager(config: NotifyConfig, { secrets, clock }: PagerPorts): Pager {
  const channels = new Map(
    Object.entries(config.receivers).map(([name, receiver]) => [name, channelOf(receiver, secrets)]),
  );
  const names = [...channels.keys()];
  const resolve = (receiver = config.defaultReceiver ?? (names.length === 1 ? names[0] : undefined)): string => {
    if (receiver !== undefined && channels.has(receiver)) return receiver;
    throw new CatalystError(
      'NotConfigured',
      receiver === undefined ? 'no receiver is the default' : `there is no receiver ${receiver}`,
      {
        hint:
          receiver === undefined
            ? 'Set integrations.notify.defaultReceiver.'
            : `Receivers are: ${names.join(', ') || 'none'}.`,
      },
    );
  };
  return {
    receivers: names,
    resolve,
    receiversOf: (person) => (config.people?.[person] ?? [person]).filter((name) => channels.has(name)),
    deliver: async (receiver, page, signal) => channels.get(resolve(receiver))?.deliver({ clock, signal }, page),
    close: () => {
      for (const channel of channels.values()) channel.close();
    },
  };
}
