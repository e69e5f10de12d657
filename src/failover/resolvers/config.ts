/** Configuration of the peer and of the resolvers: embedded by the controller's. */
import Type, { type Static } from 'typebox';
import { publicKeyPattern } from '../keys.ts';

const strict = { additionalProperties: false } as const;
const domain = (description: string, example: string) =>
  Type.String({ description, pattern: '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$', maxLength: 190, examples: [example] });
const listen = (description: string, byDefault: string) =>
  Type.String({
    description,
    pattern: '^(\\[[0-9a-fA-F:]+\\]|[^:\\s]+):[0-9]{1,5}$',
    maxLength: 300,
    default: byDefault,
  });

export const PeerConfig = Type.Object(
  {
    region: Type.String({
      description: 'Name of the other region.',
      pattern: '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$',
      examples: ['hz-hel-rtz-prod'],
    }),
    url: Type.String({
      description: 'Where its controller takes messages.',
      pattern: '^https?://[^\\s@]+$',
      maxLength: 2048,
      examples: ['http://10.8.0.2:8481'],
    }),
    publicKey: Type.String({
      description: 'Its public key, as `catalyst-sre witness key` prints it there.',
      pattern: publicKeyPattern,
    }),
    listen: listen('Where we take its messages. They are signed; over a tunnel plain HTTP is enough.', '0.0.0.0:8481'),
    caFile: Type.Optional(
      Type.String({
        description: 'File with the certificate authority of its server (PEM).',
        minLength: 1,
        maxLength: 4096,
      }),
    ),
  },
  { ...strict, description: 'The controller of the other region.' },
);
export type PeerConfig = Static<typeof PeerConfig>;

export const ResolversConfig = Type.Object(
  {
    addresses: Type.Array(Type.String({ description: 'Address of a resolver.', minLength: 1, maxLength: 300 }), {
      description: 'Resolvers that are asked about both regions (handbook §2.4).',
      minItems: 1,
      maxItems: 9,
      default: ['8.8.8.8', '1.1.1.1', '9.9.9.9'],
    }),
    zone: domain(
      'The probe zone: below it each region has a name that is delegated to its controller.',
      'probe.acme.example',
    ),
    nameserver: domain('Name of the host of this controller, as the delegation has it.', 'ns-fsn.acme.example'),
    listen: listen('Where the controller answers DNS, over UDP and TCP.', '0.0.0.0:53'),
    control: domain(
      'A name that exists whatever becomes of us; a resolver that does not find it abstains.',
      'example.com',
    ),
  },
  { ...strict, description: 'Evidence by DNS for when the witness cannot be reached.' },
);
export type ResolversConfig = Static<typeof ResolversConfig>;
