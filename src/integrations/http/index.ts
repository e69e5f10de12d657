/** HTTP: the status and the JSON of what has no integration of its own, and requests to it. */
import type { LookupFunction } from 'node:net';
import type { FactDefinition, FactType, Integration, Json } from '../contract.ts';
import { configured, textArgument } from '../define.ts';
import type { Secrets } from '../secrets.ts';
import { HttpTargets } from './client.ts';
import { requestAction } from './request.ts';
import type { HttpConfig } from './schema.ts';

export interface HttpPorts {
  secrets: Secrets;
  /** Resolves names. Default: the system's resolver. */
  lookup?: LookupFunction;
}

export function createHttp(config: HttpConfig | undefined, { secrets, lookup }: HttpPorts): Integration {
  const made = config === undefined ? undefined : new HttpTargets(config, secrets, lookup);
  const targets = () => configured(made, 'http');
  return {
    name: 'http',
    description: 'HTTP to hosts that are allowed.',
    configured: made !== undefined,
    facts: httpFacts(targets),
    actions: [requestAction(targets)],
    health: async () =>
      made === undefined
        ? { healthy: false, sentence: 'http is not configured. Set integrations.http in the configuration.' }
        : { healthy: true, sentence: `${Object.keys(config?.hosts ?? {}).length} hosts may be asked` },
    stop: async () => made?.close(),
  };
}

/** Every status there is: for the fact that reads it, none is an error. */
const allStatuses = Array.from({ length: 500 }, (_, index) => 100 + index);

function httpFacts(targets: () => HttpTargets): FactDefinition[] {
  const parameters = [
    { name: 'url', type: 'string' as FactType, description: 'URL; its host must be among integrations.http.hosts.' },
  ];
  return [
    {
      name: 'http.status',
      description: 'Status a GET is answered with. Redirects are not followed: they are a status too.',
      parameters,
      returns: 'int',
      example: 200,
      async read(context, args) {
        const { client, path } = targets().target(textArgument(args, 0, 'url'));
        return (await client.request(context, { path, accept: allStatuses })).status;
      },
    },
    {
      name: 'http.json',
      description: 'JSON that a GET is answered with; an error unless the status is 2xx.',
      parameters,
      returns: 'dyn',
      example: { status: 'ok' },
      async read(context, args) {
        const { client, path } = targets().target(textArgument(args, 0, 'url'));
        return (await client.json(context, { path })) as Json;
      },
    },
  ];
}
