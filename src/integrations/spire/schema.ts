/** Configuration of the SPIRE integration. */
import Type, { type Static } from 'typebox';

const Path = (what: string, fallback: string) =>
  Type.Optional(
    Type.String({
      description: `Path of ${what}. Default ${fallback}.`,
      pattern: '^/',
      maxLength: 256,
      examples: [fallback],
    }),
  );

export const SpireConfig = Type.Object(
  {
    url: Type.String({
      description: 'Address of the listener that health_checks of the server opens.',
      pattern: '^https?://',
      maxLength: 2048,
      examples: ['http://spire-server.spire.svc:8080'],
    }),
    livePath: Path('live_path', '/live'),
    readyPath: Path('ready_path', '/ready'),
  },
  { additionalProperties: false, description: 'Where the SPIRE server tells its health.' },
);
export type SpireConfig = Static<typeof SpireConfig>;
