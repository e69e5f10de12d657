/** Configuration of the Prometheus integration (Mimir and Thanos speak the same API). */
import Type, { type Static } from 'typebox';
import { endpointProperties } from '../endpoint.ts';

export const PrometheusConfig = Type.Object(
  {
    ...endpointProperties('http://prometheus.monitoring.svc:9090'),
    orgId: Type.Optional(
      Type.String({
        description: 'Value of X-Scope-OrgID, for Mimir.',
        minLength: 1,
        maxLength: 256,
        examples: ['acme'],
      }),
    ),
    queryTimeout: Type.Optional(
      Type.String({ description: 'Limit for one query. Default 8s.', pattern: '^[0-9]+(ms|s|m)$', examples: ['8s'] }),
    ),
    externalUrls: Type.Optional(
      Type.Array(Type.String({ pattern: '^https?://', maxLength: 2048 }), {
        description: 'Addresses that alerts link to. When given, an alert that links elsewhere is not asked here.',
        maxItems: 32,
      }),
    ),
  },
  { additionalProperties: false, description: 'Where Prometheus is.' },
);
export type PrometheusConfig = Static<typeof PrometheusConfig>;
