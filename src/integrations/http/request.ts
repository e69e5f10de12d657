/** `http request`: one request to a host that is allowed. */
import Type from 'typebox';
import { CatalystError } from '../../errors.ts';
import type { ActionDefinition, Effect, Json } from '../contract.ts';
import { defineAction } from '../define.ts';
import type { HttpTargets } from './client.ts';

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;
/** Methods whose repetition leaves the world as once did (RFC 9110, 9.2.2). */
const idempotentMethods: readonly string[] = ['GET', 'HEAD', 'PUT', 'DELETE'];
/** Headers a runbook may not set: they hold secrets, which belong into the configuration, or belong to the protocol. */
const forbiddenHeaders = [
  'authorization',
  'proxy-authorization',
  'cookie',
  'x-api-key',
  'host',
  'content-length',
  'transfer-encoding',
  'connection',
  'idempotency-key',
];

const Url = (what: string) =>
  Type.String({
    description: what,
    pattern: '^https?://',
    maxLength: 4096,
    examples: ['https://billing.example.com/webhooks/retry'],
  });

const Input = Type.Object(
  {
    method: Type.Union(
      methods.map((method) => Type.Literal(method)),
      { description: 'HTTP method.', examples: ['POST'] },
    ),
    url: Url('Where to; its host must be among integrations.http.hosts.'),
    body: Type.Optional(Type.Unknown({ description: 'Sent as JSON.' })),
    headers: Type.Optional(
      Type.Record(Type.String({ pattern: '^[A-Za-z0-9-]+$' }), Type.String({ maxLength: 4096 }), {
        description: 'Further headers. Those with secrets belong into the configuration.',
        maxProperties: 32,
      }),
    ),
    confirmUrl: Type.Optional(
      Url('Asked when it is not known whether the request took effect: 2xx means yes, 404 means no.'),
    ),
    returnBody: Type.Optional(
      Type.Boolean({ description: 'Puts the JSON of the answer on record, for later steps. Default false.' }),
    ),
  },
  { additionalProperties: false, description: 'What to send, and where to.' },
);

type RequestInput = { method: (typeof methods)[number]; url: string; headers?: Record<string, string> };

export function requestAction(targets: () => HttpTargets): ActionDefinition {
  return defineAction<typeof Input, Record<string, never>>({
    name: 'http request',
    description: 'Sends one HTTP request to an allowed host.',
    input: Input,
    positional: ['method', 'url'],
    example: 'http request POST https://billing.example.com/webhooks/retry',
    effects: ['Change', 'Delete', 'ReadOnly'],
    effect: ({ method }) => effectOf(method),
    idempotent: false,
    idempotentFor: ({ method }) => idempotentMethods.includes(method),
    describe: (input) => `Send ${input.method} ${targets().target(input.url).label}`,
    async capture(_, input) {
      refuseForbidden(input);
      targets().target(input.url);
      if (input.confirmUrl !== undefined) targets().target(input.confirmUrl);
      return {};
    },
    async execute(context, input) {
      refuseForbidden(input);
      const { client, path, label } = targets().target(input.url);
      const answer = await client.request(context, {
        method: input.method,
        path,
        headers: { ...input.headers, 'idempotency-key': context.idempotencyKey },
        ...(input.body === undefined ? {} : { json: input.body }),
      });
      const body = input.returnBody === true ? parseBody(answer.body) : undefined;
      const result: Json = { status: answer.status, ...(body === undefined ? {} : { body }) };
      return { sentence: `Sent ${input.method} ${label}, answered with ${answer.status}`, result };
    },
    async happened(context, input) {
      if (input.confirmUrl === undefined)
        return { answer: 'unknown', sentence: 'no confirmUrl says whether the request took effect' };
      const { client, path } = targets().target(input.confirmUrl);
      const { status } = await client.request(context, { path, accept: [404] });
      if (status === 404) return { answer: 'no', sentence: 'confirmUrl answers 404' };
      return { answer: 'yes', sentence: `confirmUrl answers ${status}` };
    },
  });
}

function effectOf(method: string): Effect {
  if (method === 'GET' || method === 'HEAD') return 'ReadOnly';
  return method === 'DELETE' ? 'Delete' : 'Change';
}

function refuseForbidden(input: RequestInput): void {
  const forbidden = Object.keys(input.headers ?? {}).find((name) => forbiddenHeaders.includes(name.toLowerCase()));
  if (forbidden === undefined) return;
  throw new CatalystError('BadRequest', `header ${forbidden} may not be set by a runbook`, {
    hint: 'Headers with secrets are configured per host: integrations.http.hosts.',
  });
}

/** The JSON of an answer that has been carried out; undefined where it is none. */
function parseBody(body: string): Json | undefined {
  try {
    return JSON.parse(body) as Json;
  } catch {
    return undefined;
  }
}
