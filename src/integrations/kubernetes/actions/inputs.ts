/** Input properties that several actions share. */
import Type from 'typebox';
import type { ObjectReference } from '../client.ts';

const dnsName = '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$';

export const Strict = { additionalProperties: false } as const;

export const Namespace = Type.String({
  description: 'Namespace of the object.',
  pattern: dnsName,
  maxLength: 63,
  examples: ['acme'],
});

export const Name = (what: string, example: string) =>
  Type.String({ description: `Name of the ${what}.`, pattern: dnsName, maxLength: 253, examples: [example] });

export const KindOf = (...kinds: [string, ...string[]]) =>
  Type.Union(
    kinds.map((kind) => Type.Literal(kind)),
    { description: `Kind of the object: ${kinds.join(', ')}.`, examples: [kinds[0]] },
  );

/** The object an input names. */
export const referenceOf = (input: {
  kind: string;
  namespace?: string;
  name: string;
  apiVersion?: string;
}): ObjectReference => ({
  kind: input.kind,
  name: input.name,
  ...(input.namespace === undefined ? {} : { namespace: input.namespace }),
  ...(input.apiVersion === undefined ? {} : { apiVersion: input.apiVersion }),
});
