/** Configuration of the Gitea integration. */
import Type, { type Static } from 'typebox';
import { endpointProperties } from '../endpoint.ts';

export const GiteaConfig = Type.Object(endpointProperties('https://gitea.example.com'), {
  additionalProperties: false,
  description: 'Where Gitea is, and the token of the account that acts.',
});
export type GiteaConfig = Static<typeof GiteaConfig>;
