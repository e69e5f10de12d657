/** Gitea: repositories, and workflows as an executor. */
import type { FactDefinition, FactType, Integration, Json } from '../contract.ts';
import { configured, healthOf, reachable, textArgument } from '../define.ts';
import type { Secrets } from '../secrets.ts';
import { GiteaClient } from './client.ts';
import { dispatchAction } from './dispatch.ts';
import type { GiteaConfig } from './schema.ts';

export interface GiteaPorts {
  secrets: Secrets;
}

export function createGitea(config: GiteaConfig | undefined, { secrets }: GiteaPorts): Integration {
  const made = config === undefined ? undefined : new GiteaClient(config, secrets);
  const client = () => configured(made, 'gitea');
  return {
    name: 'gitea',
    description: 'Repositories, and workflows of Gitea Actions.',
    configured: made !== undefined,
    facts: giteaFacts(client),
    actions: [dispatchAction(client)],
    health: (context) => healthOf(async () => `Gitea ${await client().version(context)} answers`),
    stop: async () => made?.close(),
  };
}

function giteaFacts(client: () => GiteaClient): FactDefinition[] {
  const parameter = (name: string, description: string) => ({ name, type: 'string' as FactType, description });
  return [
    {
      name: 'gitea.reachable',
      description: 'Whether Gitea answers.',
      returns: 'bool',
      example: true,
      read: (context) => reachable(() => client().version(context)),
    },
    {
      name: 'gitea.version',
      description: 'Version of Gitea.',
      returns: 'string',
      example: '1.24.2',
      read: async (context) => client().version(context),
    },
    {
      name: 'gitea.repository',
      description: 'A repository: its default branch, and whether it is empty, archived, private or a mirror.',
      parameters: [parameter('owner', 'Organization or user.'), parameter('name', 'Name.')],
      returns: 'map<string, dyn>',
      example: { defaultBranch: 'main', empty: false, archived: false, private: true, mirror: false },
      async read(context, args) {
        const name = `${textArgument(args, 0, 'owner')}/${textArgument(args, 1, 'name')}`;
        const repository = await client().repository(context, name);
        const flag = (key: string): Json => repository[key] === true;
        return {
          defaultBranch: String(repository.default_branch ?? ''),
          empty: flag('empty'),
          archived: flag('archived'),
          private: flag('private'),
          mirror: flag('mirror'),
        };
      },
    },
  ];
}
