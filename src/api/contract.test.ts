import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { validate } from '@readme/openapi-parser';
import { Ajv } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import fc from 'fast-check';
import { errorCodes } from '../errors.ts';
import { bearer, createFixture, type Fixture, routesOf, startApi } from './api-fixture.ts';
import type { Api } from './fastify.ts';
import { openApiDocument } from './openapi.ts';

let f: Fixture;
let app: Api;
beforeEach(async () => {
  await app?.close();
  f = createFixture();
  app = await startApi(f);
});
after(() => app.close());

const get = (url: string, who = 'root') => app.inject({ method: 'GET', url, headers: bearer(who) });
const post = (url: string, who: string, body?: unknown, headers: Record<string, string> = {}) =>
  app.inject({
    method: 'POST',
    url,
    headers: { ...bearer(who), ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { payload: JSON.stringify(body) }),
  });

// --- errors ----------------------------------------------------------------------------------------------------------

test('every error is a problem with a stable code, and tells neither stack nor secret', async () => {
  f.fail.command = new Error('boom at postgres://admin:hunter2@db/x');
  const cases: [Awaited<ReturnType<typeof get>>, number, keyof typeof errorCodes][] = [
    [await get('/nowhere'), 404, 'NotFound'],
    [await get('/api/v1/alerts/none'), 404, 'NotFound'],
    [await get('/api/v1/alerts?limit=0'), 400, 'BadRequest'],
    [await get('/api/v1/alerts?limit=many'), 400, 'BadRequest'],
    [await get('/api/v1/record/x'), 400, 'BadRequest'],
    [
      await app.inject({
        method: 'POST',
        url: '/api/v1/incidents/i1/resolve',
        headers: { ...bearer('root'), 'content-type': 'application/json' },
        payload: '{',
      }),
      400,
      'InvalidBody',
    ],
    [await post('/api/v1/incidents/i1/resolve', 'root'), 400, 'BadRequest'],
    [await post('/api/v1/incidents/i1/resolve', 'root', { resolution: 3 }), 400, 'BadRequest'],
    [await post('/api/v1/incidents/i1/resolve', 'root', { resolution: 'x', more: 1 }), 400, 'BadRequest'],
    [await post('/api/v1/incidents/i1/resolve', 'root', { resolution: 'x' }), 500, 'Internal'],
    [
      await app.inject({
        method: 'POST',
        url: '/api/v1/incidents/i1/resolve',
        headers: { ...bearer('root'), 'content-type': 'text/html' },
        payload: 'x',
      }),
      400,
      'BadRequest',
    ],
    [
      await app.inject({
        method: 'POST',
        url: '/api/v1/incidents/i1/resolve',
        headers: { ...bearer('root'), 'content-type': 'application/json' },
        payload: '{"__proto__":{"admin":true},"resolution":"x"}',
      }),
      400,
      'InvalidBody',
    ],
    [
      await app.inject({
        method: 'POST',
        url: '/api/v1/incidents/i1/resolve',
        headers: { ...bearer('root'), 'content-type': 'application/json' },
        payload: '{"constructor":{"prototype":{"x":1}},"resolution":"x"}',
      }),
      400,
      'InvalidBody',
    ],
    [await post('/api/v1/incidents/i1/notes', 'root', { text: 'x'.repeat(2 * 1024 * 1024) }), 413, 'TooLarge'],
  ];
  for (const [answer, status, code] of cases) {
    const problem = answer.json();
    assert.equal(answer.statusCode, status, answer.body);
    assert.equal(problem.code, code, answer.body);
    assert.equal(problem.status, status);
    assert.match(String(answer.headers['content-type']), /^application\/problem\+json/);
    assert.ok(problem.detail.length > 10 && problem.instance.startsWith('/'));
    assert.ok(!/hunter2|node_modules|\.ts:|at Object/.test(answer.body), answer.body);
    assert.equal(problem.requestId, answer.headers['x-request-id']);
  }
});

test('answers carry the security headers and no CORS', async () => {
  const { headers } = await app.inject({
    method: 'GET',
    url: '/livez',
    headers: { origin: 'https://evil.example', 'x-request-id': 'abc-1' },
  });
  assert.equal(headers['x-content-type-options'], 'nosniff');
  assert.equal(headers['x-frame-options'], 'DENY');
  assert.match(String(headers['content-security-policy']), /default-src 'none'/);
  assert.equal(headers['access-control-allow-origin'], undefined);
  assert.equal(headers['x-request-id'], 'abc-1');
  const odd = await app.inject({ method: 'GET', url: '/livez', headers: { 'x-request-id': 'a b<script>' } });
  assert.notEqual(odd.headers['x-request-id'], 'a b<script>');
});

test('no request makes the server fail: any path, method, query and body gets a clear answer', async () => {
  // The stream has no end that inject could wait for; it has tests of its own.
  const urls = routesOf(app)
    .map((route) => route.url)
    .filter((url) => url !== '/api/v1/stream');
  const part = fc.oneof(
    fc.string({ maxLength: 40 }),
    fc.constantFrom('__proto__', 'constructor', '..', '%00', '%', '\u2028', 'a'.repeat(300)),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD'),
      fc.oneof(
        fc.constantFrom(...urls),
        fc.array(part, { maxLength: 4 }).map((parts) => `/${parts.map(encodeURIComponent).join('/')}`),
      ),
      fc.dictionary(part, part, { maxKeys: 3 }),
      fc.oneof(fc.json(), fc.string(), fc.constantFrom('{"__proto__":1}', '[]', 'null', '')),
      fc.constantFrom('application/json', 'text/plain', 'application/json; charset=utf-16', ''),
      async (method, path, query, payload, type) => {
        const answer = await app.inject({
          method: method as 'GET',
          url: `${path}?${new URLSearchParams(query)}`,
          headers: { ...bearer('root'), ...(type ? { 'content-type': type } : {}) },
          ...(method === 'GET' || method === 'HEAD' ? {} : { payload }),
        });
        assert.ok(answer.statusCode < 500, `${method} ${path} ${answer.statusCode} ${answer.body}`);
        if (answer.statusCode >= 400 && method !== 'HEAD') assert.ok(answer.json().code in errorCodes);
      },
    ),
    { numRuns: 300 },
  );
});

test('a client cannot hold the server: headers, requests, silence and connections have limits', () => {
  const { headersTimeout, requestTimeout, timeout, maxConnections } = app.server;
  assert.deepEqual([headersTimeout, requestTimeout, timeout, maxConnections], [10_000, 60_000, 60_000, 1_000]);
});

test('the console is served to everybody, with a policy of its own; everything else stays as it is', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'console-'));
  await mkdir(join(folder, 'assets'));
  await writeFile(join(folder, 'index.html'), '<!doctype html><title>Catalyst SRE</title>');
  await writeFile(join(folder, 'assets', 'app-1a2b.js'), 'export {};');
  const served = await startApi(f, { consoleDirectory: folder });
  const page = await served.inject('/');
  assert.equal(page.statusCode, 200);
  assert.match(page.body, /Catalyst SRE/);
  assert.match(String(page.headers['content-security-policy']), /^default-src 'self'/);
  assert.equal(page.headers['cache-control'], 'no-cache');
  assert.match(String((await served.inject('/assets/app-1a2b.js')).headers['cache-control']), /immutable/);
  assert.equal((await served.inject('/incidents/01m8gj10stxf49g57gg5dy5y97')).body, page.body, 'a deep link');
  assert.equal((await served.inject('/api/v1/alerts')).statusCode, 401);
  for (const url of ['/none', '/../package.json', '/%2e%2e/package.json', '/assets/'])
    assert.equal((await served.inject(url)).json().code, 'NotFound', url);
  await served.close();
  await rm(folder, { recursive: true });
});

test('a server whose console is not built says how to build it', async () => {
  const served = await startApi(f, { consoleDirectory: join(tmpdir(), 'no-console-here') });
  const page = await served.inject('/');
  assert.equal(page.statusCode, 503);
  assert.match(page.body, /npm run build /);
  assert.equal((await served.inject('/livez')).statusCode, 200);
  await served.close();
});

// --- the contract ----------------------------------------------------------------------------------------------------

type SchemaNode = {
  description?: string;
  properties?: Record<string, SchemaNode>;
  items?: SchemaNode;
  anyOf?: SchemaNode[];
  additionalProperties?: SchemaNode | boolean;
};

test('every field, parameter and operation in OpenAPI is described', () => {
  const document = openApiDocument(app) as unknown as {
    openapi: string;
    paths: Record<string, Record<string, Record<string, unknown>>>;
  };
  assert.equal(document.openapi, '3.1.0');
  const missing: string[] = [];
  const visit = (schema: SchemaNode | undefined, where: string) => {
    for (const [name, property] of Object.entries(schema?.properties ?? {})) {
      if (!property.description) missing.push(`${where}.${name}`);
      visit(property, `${where}.${name}`);
    }
    if (schema?.items) visit(schema.items, `${where}[]`);
    for (const part of schema?.anyOf ?? []) visit(part, where);
  };
  const ids: string[] = [];
  const { components } = openApiDocument(app) as unknown as { components: { schemas: Record<string, SchemaNode> } };
  for (const [name, schema] of Object.entries(components.schemas)) visit(schema, name);
  assert.ok('Problem' in components.schemas && 'Run' in components.schemas);
  for (const [path, methods] of Object.entries(document.paths))
    for (const [method, operation] of Object.entries(methods)) {
      const where = `${method} ${path}`;
      ids.push(String(operation.operationId));
      if (!operation.summary || !operation.operationId) missing.push(where);
      for (const parameter of (operation.parameters ?? []) as { name: string; description?: string }[])
        if (!parameter.description) missing.push(`${where} ${parameter.name}`);
      const bodies = [operation.requestBody, ...Object.values((operation.responses ?? {}) as object)] as {
        content?: Record<string, { schema: SchemaNode }>;
      }[];
      for (const body of bodies) for (const { schema } of Object.values(body?.content ?? {})) visit(schema, where);
    }
  assert.deepEqual(missing, []);
  assert.equal(new Set(ids).size, ids.length);
});

test('the document is OpenAPI 3.1, and its schemas are JSON Schema 2020-12', async () => {
  const document = () => structuredClone(openApiDocument(app)) as unknown as Parameters<typeof validate>[0] & object;
  assert.deepEqual(await validate(document()), { valid: true, warnings: [], specification: 'OpenAPI' });
  // The library looks at all but the inside of schemas.
  const schemas = Object.entries((document() as unknown as { components: { schemas: object } }).components.schemas);
  const ajv = new Ajv2020({ strict: false });
  for (const [name, schema] of [...schemas, ...schemasOfRequests(document())])
    assert.ok(ajv.validateSchema(schema), `${name}: ${ajv.errorsText()}`);

  const dangling = document() as unknown as { components: { schemas: Record<string, object> } };
  delete dangling.components.schemas.Run;
  assert.equal((await validate(dangling as never)).valid, false, 'a reference that leads nowhere');
});

/** Of parameters and bodies, which stand where they are used; the server compiles them when a request comes. */
function schemasOfRequests(document: object): [string, object][] {
  const { paths } = document as { paths: Record<string, Record<string, Operation>> };
  const found = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).flatMap(([method, { parameters = [], requestBody }]): [string, object][] => [
      ...parameters.map(({ name, schema }): [string, object] => [`${method} ${path} ${name}`, schema]),
      ...Object.values(requestBody?.content ?? {}).map(({ schema }): [string, object] => [`${method} ${path}`, schema]),
    ]),
  );
  assert.ok(found.length > 100, `${found.length} schemas of requests`);
  return found;
}

interface Operation {
  parameters?: { name: string; schema: object }[];
  requestBody?: { content: Record<string, { schema: object }> };
}

test('every answer of a read fits its schema in OpenAPI', async () => {
  f.record.append({ incidentId: 'i1', organization: 'acme' });
  assert.equal((await post('/api/v1/drills/openbao-sealed', 'root')).statusCode, 202);
  const ajv = new Ajv({ strict: false });
  formats.default(ajv);
  const { paths, components } = openApiDocument(app) as unknown as {
    components: object;
    paths: Record<string, { get?: { responses: Record<string, { content?: Record<string, { schema: object }> }> } }>;
  };
  for (const route of routesOf(app)) {
    if (route.method !== 'GET' || route.path === '/api/v1/stream' || route.path.startsWith('/api/v1/pages/')) continue;
    const answer = await get(route.url);
    assert.equal(answer.statusCode, 200, route.url);
    if (route.path.endsWith('.ics') || String(answer.headers['content-type']).startsWith('text/markdown')) continue;
    const schema = paths[route.path]?.get?.responses['200']?.content?.['application/json']?.schema;
    assert.ok(schema, route.path);
    const validate = ajv.compile({ ...schema, components });
    assert.ok(validate(answer.json()), `${route.path}: ${ajv.errorsText(validate.errors)}`);
  }
});
