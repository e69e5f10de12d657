/** Configuration of the HTTP integration. */
import Type, { type Static } from 'typebox';
import { secretProperties } from '../secrets.ts';

const Strict = { additionalProperties: false } as const;

export const HttpConfig = Type.Object(
  {
    hosts: Type.Record(
      Type.String(),
      Type.Object(
        {
          headers: Type.Optional(
            Type.Array(
              Type.Object(
                {
                  name: Type.String({
                    description: 'Name of the header.',
                    pattern: '^[A-Za-z0-9-]+$',
                    maxLength: 128,
                    examples: ['Authorization'],
                  }),
                  prefix: Type.Optional(
                    Type.String({ description: 'Put before the secret.', maxLength: 64, examples: ['Bearer '] }),
                  ),
                  ...secretProperties('value', "the header's value"),
                },
                { ...Strict, description: 'A header that holds a secret.' },
              ),
              {
                description: 'Headers with secrets, sent to this host and no other. Runbooks never see them.',
                maxItems: 16,
              },
            ),
          ),
          caFile: Type.Optional(
            Type.String({ description: 'File with the certificate authority of the host (PEM).', maxLength: 4096 }),
          ),
        },
        { ...Strict, description: 'One host.' },
      ),
      {
        description: 'Hosts that may be asked, as they stand in a URL: name, or name:port. No other is ever contacted.',
      },
    ),
  },
  { ...Strict, description: 'Which hosts runbooks may ask.' },
);
export type HttpConfig = Static<typeof HttpConfig>;
