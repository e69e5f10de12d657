/** Configuration of the OpenBao integration. */
import Type, { type Static } from 'typebox';

export const OpenBaoConfig = Type.Object(
  {
    addresses: Type.Optional(
      Type.Array(
        Type.String({
          description: 'URL of one pod.',
          pattern: '^https?://',
          maxLength: 2048,
          examples: ['https://openbao-0.openbao-internal.openbao.svc:8200'],
        }),
        { description: 'Each pod of the cluster: an unseal is not passed on between them.', minItems: 1, maxItems: 32 },
      ),
    ),
    template: Type.Optional(
      Type.String({
        description:
          'URL of a pod with {ordinal} in it, instead of addresses: the pods of a StatefulSet behind a headless service.',
        pattern: '^https?://.*\\{ordinal\\}',
        maxLength: 2048,
        examples: ['https://openbao-{ordinal}.openbao-internal.openbao.svc:8200'],
      }),
    ),
    replicas: Type.Optional(
      Type.Integer({ description: 'How many pods template stands for. Default 3.', minimum: 1, maximum: 32 }),
    ),
    sharesDirectory: Type.Optional(
      Type.String({
        description:
          'Directory of unseal key shares, one per file (a mounted Secret). Without it nothing is unsealed from here.',
        minLength: 1,
        maxLength: 4096,
        examples: ['/etc/catalyst/unseal-shares'],
      }),
    ),
    caFile: Type.Optional(
      Type.String({ description: 'File with the certificate authority of the pods (PEM).', maxLength: 4096 }),
    ),
  },
  { additionalProperties: false, description: 'Where OpenBao is: addresses, or template and replicas.' },
);
export type OpenBaoConfig = Static<typeof OpenBaoConfig>;
