/**
 * The OpenAPI document: what the routes declare, with the named views under `components`, where clients take their types
 * from. Routes hold the views themselves, because Fastify compiles references far more slowly.
 */
import type { Api } from './fastify.ts';
import { incidentViews } from './incident-views.ts';
import { onCallViews } from './on-call-views.ts';
import { namedViews as views } from './views.ts';

const namedViews = { ...views, ...incidentViews, ...onCallViews };

type JsonObject = Record<string, unknown>;

export interface OpenApiDocument extends JsonObject {
  openapi: string;
  paths: Record<string, Record<string, JsonObject>>;
  components: { schemas: Record<string, JsonObject> };
}

/** What every route may answer with besides its success. */
const problem = {
  description: 'An error.',
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
};

export function openApiDocument(app: Api): OpenApiDocument {
  const names = new Map(Object.entries(namedViews).map(([name, schema]) => [JSON.stringify(schema), name]));
  const hoist = (value: unknown, own?: string): unknown => {
    if (Array.isArray(value)) return value.map((item) => hoist(item));
    if (typeof value !== 'object' || value === null) return value;
    const name = names.get(JSON.stringify(value));
    if (name !== undefined && name !== own) return { $ref: `#/components/schemas/${name}` };
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, hoist(part)]));
  };
  const document = JSON.parse(JSON.stringify(app.swagger())) as JsonObject;
  const paths = hoist(document.paths) as OpenApiDocument['paths'];
  for (const operation of Object.values(paths).flatMap((methods) => Object.values(methods)))
    operation.responses = { ...(operation.responses as object), '4XX': problem, '5XX': problem };
  const schemas = Object.entries(namedViews).map(([name, schema]) => [
    name,
    hoist(JSON.parse(JSON.stringify(schema)), name),
  ]);
  return {
    ...document,
    paths,
    components: { ...(document.components as object), schemas: Object.fromEntries(schemas) },
  } as OpenApiDocument;
}
