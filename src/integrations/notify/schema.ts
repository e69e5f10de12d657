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

const { url, tokenFile, tokenEnv, caFile } = endpointProperties('https://matrix.example.com');
const Matrix = Type.Object(
  {
    matrix: Type.Object(
      {
        url,
        tokenFile,
        tokenEnv,
        caFile,
        room: Type.String({
          description: 'Id of the room (not an alias); the account has to have joined it.',
          pattern: '^![^\\s]+$',
          maxLength: 255,
          examples: ['!oncall:example.com'],
        }),
        messageType: Type.Optional(
          Type.Union([Type.Literal('m.text'), Type.Literal('m.notice')], {
            description: 'm.text (default) rings; m.notice is what many clients show without a sound.',
          }),
        ),
      },
      { ...Strict, description: 'Homeserver, access token of the account that writes, and room.' },
    ),
  },
  { ...Strict, description: 'A Matrix room.' },
);

/** The name of a receiver or a person, as schedules and policies write it. */
const namePattern = '^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$';

export const NotifyConfig = Type.Object(
  {
    receivers: Type.Record(
      Type.String({ pattern: namePattern }),
      Type.Union([Webhook, Smtp, Matrix], { description: 'A webhook, mail or a Matrix room.' }),
      {
        description: 'Who is told, by name.',
      },
    ),
    people: Type.Optional(
      Type.Record(
        Type.String({ pattern: namePattern }),
        Type.Array(Type.String({ description: 'Name of a receiver.', pattern: namePattern }), {
          description: 'Their receivers; all of them are told.',
          minItems: 1,
          maxItems: 8,
        }),
        {
          description:
            'How the people of on-call schedules are reached. Who is not listed is reached by the receiver of their name.',
          examples: [{ mira: ['mira-phone', 'mira-mail'] }],
        },
      ),
    ),
    defaultReceiver: Type.Optional(
      Type.String({
        description: 'Receiver where no policy or schedule leads to one. Default: the only one there is.',
        maxLength: 63,
      }),
    ),
  },
  { ...Strict, description: 'Who is told, and how.' },
);
export type NotifyConfig = Static<typeof NotifyConfig>;
export type WebhookReceiver = Static<typeof Webhook>['webhook'];
export type MatrixReceiver = Static<typeof Matrix>['matrix'];
export type SmtpReceiver = Static<typeof Smtp>['smtp'];
