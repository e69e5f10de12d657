/** Notifications: telling people, by webhook, mail or Matrix. */
import Type from 'typebox';
import type { Clock } from '../../clock.ts';
import type { ActionDefinition, Integration } from '../contract.ts';
import { configured, defineAction } from '../define.ts';
import type { Secrets } from '../secrets.ts';
import { createPager, type Pager } from './pager.ts';
import type { NotifyConfig } from './schema.ts';

export interface NotifyPorts {
  secrets: Secrets;
  clock: Clock;
}

export interface Notify extends Integration {
  /** The port for the outbox; undefined when nothing is configured. */
  pager: Pager | undefined;
}

export function createNotify(config: NotifyConfig | undefined, ports: NotifyPorts): Notify {
  const made = config === undefined ? undefined : createPager(config, ports);
  return {
    name: 'notify',
    description: 'Tells people, by webhook, mail or Matrix.',
    configured: made !== undefined,
    facts: [],
    actions: [pageAction(() => configured(made, 'notify'))],
    // Whether a message arrives shows only by sending one, and a probe must not page anybody.
    health: async () =>
      made === undefined
        ? { healthy: false, sentence: 'notify is not configured. Set integrations.notify in the configuration.' }
        : { healthy: true, sentence: `${made.receivers.length} receivers are configured` },
    stop: async () => made?.close(),
    pager: made,
  };
}

const Input = Type.Object(
  {
    message: Type.String({
      description: 'What to say.',
      minLength: 1,
      maxLength: 8192,
      examples: ['The quota of acme is used up.'],
    }),
    receiver: Type.Optional(
      Type.String({ description: 'Who is told. Default: the default receiver.', maxLength: 63, examples: ['oncall'] }),
    ),
  },
  { additionalProperties: false, description: 'What to say, and to whom.' },
);

/** A title is cut to what a phone shows. */
const titleLength = 120;

function pageAction(pager: () => Pager): ActionDefinition {
  return defineAction<typeof Input, { receiver: string }>({
    name: 'notify page',
    description: 'Tells a receiver.',
    input: Input,
    positional: ['message'],
    example: "notify page 'The quota of acme is used up.' --receiver oncall",
    effects: ['Notify'],
    effect: () => 'Notify',
    // The key is sent along, so that a receiver can drop the second; and told twice is better than not at all.
    idempotent: true,
    describe: (_, before) => `Tell ${before.receiver}`,
    capture: async (_, input) => ({ receiver: pager().resolve(input.receiver) }),
    async execute(context, input, before) {
      const title = (input.message.split('\n')[0] ?? '').slice(0, titleLength);
      await pager().deliver(
        before.receiver,
        { key: context.idempotencyKey, title, text: input.message },
        context.signal,
      );
      return { sentence: `Told ${before.receiver}`, result: { receiver: before.receiver } };
    },
    happened: async (_, __, before) => ({
      answer: 'unknown',
      sentence: `whether ${before.receiver} was told is not known`,
    }),
  });
}
