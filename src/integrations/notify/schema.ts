/** Configuration of notifications. */
import Type, { type Static } from 'typebox';
import { endpointProperties } from '../endpoint.ts';
import { secretProperties } from '../secrets.ts';

const Strict = { additionalProperties: false } as const;

const Webhook = Type.Object(
  {
    webhook: Type.Object(endpointProperties('https://oncall.example.com/hooks/catalyst'), {
      ...Strict,
      description: 'URL that takes a page as JSON by POST.',
    }),
  },
  { ...Strict, description: 'A webhook.' },
);

const Address = (what: string) =>
  Type.String({
    description: what,
    pattern: '^[^@\\s,;<>]+@[^@\\s,;<>]+$',
    maxLength: 254,
    examples: ['oncall@example.com'],
  });

const Smtp = Type.Object(
  {
    smtp: Type.Object(
      {
        host: Type.String({
          description: 'Mail server.',
          minLength: 1,
          maxLength: 253,
          examples: ['smtp.example.com'],
        }),
        port: Type.Optional(Type.Integer({ description: 'Port. Default 587.', minimum: 1, maximum: 65535 })),
        tls: Type.Optional(
          Type.Union([Type.Literal('StartTls'), Type.Literal('Implicit'), Type.Literal('None')], {
            description:
              'StartTls (default) refuses a server without it; Implicit is for port 465; None is for loopback relays.',
          }),
        ),
        username: Type.Optional(Type.String({ description: 'User.', minLength: 1, maxLength: 256 })),
        ...secretProperties('password', 'the password'),
        from: Address('Sender.'),
        to: Type.Array(Address('Recipient.'), { description: 'Recipients.', minItems: 1, maxItems: 64 }),
      },
      { ...Strict, description: 'Mail server, sender and recipients.' },
    ),
  },
  { ...Strict, description: 'Mail.' },
);

export const NotifyConfig = Type.Object(
  {
    receivers: Type.Record(
      Type.String({ pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$' }),
      Type.Union([Webhook, Smtp], { description: 'A webhook or mail.' }),
      {
        description: 'Who is told, by name.',
      },
    ),
    defaultReceiver: Type.Optional(
      Type.String({ description: 'Receiver where none is named. Default: the only one there is.', maxLength: 63 }),
    ),
  },
  { ...Strict, description: 'Who is told, and how.' },
);
export type NotifyConfig = Static<typeof NotifyConfig>;
export type WebhookReceiver = Static<typeof Webhook>['webhook'];
export type SmtpReceiver = Static<typeof Smtp>['smtp'];
