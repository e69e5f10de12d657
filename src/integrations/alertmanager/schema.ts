/** Configuration of the Alertmanager integration. */
import Type, { type Static } from 'typebox';
import { endpointProperties } from '../endpoint.ts';

export const AlertmanagerConfig = Type.Object(endpointProperties('http://alertmanager.monitoring.svc:9093'), {
  additionalProperties: false,
  description: 'Where Alertmanager is.',
});
export type AlertmanagerConfig = Static<typeof AlertmanagerConfig>;
