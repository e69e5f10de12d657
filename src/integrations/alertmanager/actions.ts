/** Silences: made for a time, known by the key in their comment. */
import Type from 'typebox';
import { CatalystError } from '../../errors.ts';
import type { ActionDefinition, CallContext, EffectContext } from '../contract.ts';
import { defineAction } from '../define.ts';
import { durationMs, durationPattern } from '../duration.ts';
import type { AlertmanagerClient, Silence } from './client.ts';

/** A silence outlives the incident it was made for by a working day at most. */
const maxSilenceMs = 24 * 3_600_000;

const SilenceInput = Type.Object(
  {
    matchers: Type.Record(Type.String({ pattern: '^[a-zA-Z_][a-zA-Z0-9_]*$' }), Type.String({ maxLength: 1024 }), {
      description:
        'Labels and their values, all of which an alert must have to be silenced; alertname must be among them.',
      minProperties: 1,
      maxProperties: 32,
    }),
    for: Type.String({
      description: 'How long. At most 24h.',
      pattern: durationPattern,
      maxLength: 32,
      examples: ['30m'],
    }),
    comment: Type.Optional(Type.String({ description: 'Why.', maxLength: 1024 })),
  },
  { additionalProperties: false, description: 'What to silence, and for how long.' },
);

const ExpireInput = Type.Object(
  {
    id: Type.String({
      description: 'Id of the silence.',
      pattern: '^[A-Za-z0-9-]{1,64}$',
      examples: ['c7a5f1f0-7d2b-4f53-9d0b-0a5f8f6b7a11'],
    }),
  },
  { additionalProperties: false, description: 'Which silence to end.' },
);

type Client = () => AlertmanagerClient;

/** What a silence's comment ends with. */
const signature = (key: string) => `[catalyst-sre ${key}]`;

export function silenceAction(client: Client): ActionDefinition {
  return defineAction<typeof SilenceInput, Record<string, never>>({
    name: 'alertmanager silence',
    description: 'Silences alerts with these labels for a time.',
    input: SilenceInput,
    example: 'alertmanager silence --for 30m',
    effects: ['Notify'],
    effect: () => 'Notify',
    idempotent: true,
    describe: ({ matchers, for: duration }) => `Silence ${describeMatchers(matchers)} for ${duration}`,
    async capture(_, input) {
      refuseTooWide(input);
      return {};
    },
    async execute(context, input) {
      refuseTooWide(input);
      const existing = await findByKey(context, client());
      const id = existing?.id ?? (await client().silence(context, newSilence(context, input)));
      return { sentence: `Silenced ${describeMatchers(input.matchers)} for ${input.for}`, result: { id } };
    },
    async happened(context) {
      const existing = await findByKey(context, client());
      if (existing === undefined) return { answer: 'no', sentence: 'there is no silence with the key of this step' };
      return {
        answer: 'yes',
        sentence: `silence ${existing.id} carries the key of this step`,
        result: { id: existing.id },
      };
    },
    undo(_, __, result) {
      const id = (result as { id?: unknown } | null)?.id;
      return typeof id === 'string' ? { action: 'alertmanager expire silence', input: { id } } : undefined;
    },
  });
}

export function expireSilenceAction(client: Client): ActionDefinition {
  const expired = async (context: CallContext, id: string) =>
    (await client().silences(context)).every((silence) => silence.id !== id || silence.state === 'expired');
  return defineAction<typeof ExpireInput, Record<string, never>>({
    name: 'alertmanager expire silence',
    description: 'Ends a silence.',
    input: ExpireInput,
    positional: ['id'],
    example: 'alertmanager expire silence ${{ steps.silence.result.id }}',
    effects: ['Notify'],
    effect: () => 'Notify',
    idempotent: true,
    describe: ({ id }) => `End silence ${id}`,
    capture: async () => ({}),
    async execute(context, { id }) {
      // Asked first: Alertmanager answers the end of a silence that has ended with an error.
      if (!(await expired(context, id))) await client().expire(context, id);
      return { sentence: `Ended silence ${id}`, result: { id } };
    },
    async happened(context, { id }) {
      if (await expired(context, id)) return { answer: 'yes', sentence: `silence ${id} has ended`, result: { id } };
      return { answer: 'no', sentence: `silence ${id} has not ended` };
    },
  });
}

async function findByKey(context: EffectContext, client: AlertmanagerClient): Promise<Silence | undefined> {
  const own = signature(context.idempotencyKey);
  return (await client.silences(context)).find(({ comment }) => comment.endsWith(own));
}

function newSilence(
  context: EffectContext,
  input: { matchers: Record<string, string>; for: string; comment?: string },
) {
  const now = context.clock.now();
  return {
    matchers: Object.entries(input.matchers).map(([name, value]) => ({ name, value, isRegex: false, isEqual: true })),
    startsAt: new Date(now).toISOString(),
    endsAt: new Date(now + durationMs(input.for)).toISOString(),
    createdBy: 'catalyst-sre',
    comment: `${input.comment ?? 'A runbook is at work.'} ${signature(context.idempotencyKey)}`,
  };
}

function refuseTooWide(input: { matchers: Record<string, string>; for: string }): void {
  if ((input.matchers.alertname ?? '') === '') {
    throw new CatalystError('BadRequest', 'a silence needs alertname among its matchers', {
      hint: 'A silence of everything hides what nobody expects.',
    });
  }
  // An empty value matches alerts that lack the label, which is more than anyone means.
  const empty = Object.entries(input.matchers).find(([, value]) => value === '');
  if (empty !== undefined)
    throw new CatalystError('BadRequest', `matcher ${empty[0]} is empty`, { hint: 'Leave it out, or give its value.' });
  if (durationMs(input.for) > 0 && durationMs(input.for) <= maxSilenceMs) return;
  throw new CatalystError('BadRequest', `a silence of ${input.for} is outside 1ms to 24h`, {
    hint: 'Make a longer one by hand in Alertmanager.',
  });
}

function describeMatchers(matchers: Record<string, string>): string {
  return Object.entries(matchers)
    .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
    .join(', ');
}
