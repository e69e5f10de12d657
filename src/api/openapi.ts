/**
 * The OpenAPI document: what the routes declare, with the named views under `components`, where clients take their types
 * from. Routes hold the views themselves, because Fastify compiles references far more slowly.
 */
import type { Api } from './fastify.ts';
import { namedViews } from './views.ts';

type JsonObject = Record<string, unknown>;

export interface OpenApiDocument extends JsonObject {
  openapi: string;
  paths: Record<string, Record<string, JsonObject>>;
  components: { schemas: Record<string, JsonObject> };
}

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
  const schemas = Object.entries(namedViews).map(([name, schema]) => [
    name,
    hoist(JSON.parse(JSON.stringify(schema)), name),
  ]);
  return {
    ...document,
    paths: hoist(document.paths),
    components: { ...(document.components as object), schemas: Object.fromEntries(schemas) },
  } as OpenApiDocument;
}
