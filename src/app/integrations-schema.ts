/** The part of the configuration that integrations declare, one optional property each. */
import Type from 'typebox';

export const integrationsSchema = Type.Object(
  {},
  {
    additionalProperties: false,
    description: 'The systems it observes and acts on, by name. One that is not here is not configured.',
    default: {},
  },
);
