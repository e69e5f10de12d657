/** Reads the configuration file: YAML, validated as a whole, every problem with its line. */
import { relative, resolve } from 'node:path/posix';
import type { TObject } from 'typebox';
import { misplacedRole, wrongRule } from '../api/session/claims.ts';
import { parseDuration } from '../catalog/duration.ts';
import type { Problem } from '../catalog/resource.ts';
import { isReadFolder } from '../catalog/sources/file-rules.ts';
import { CatalystError } from '../errors.ts';
import type { NotifyConfig } from '../integrations/notify/schema.ts';
import { checkDocument, readText } from './check-document.ts';
import { type Config, configSchema } from './config-schema.ts';
import { type Complaint, nameOf } from './schema-problems.ts';

export type { Config } from './config-schema.ts';

export type CheckedConfig<I extends TObject> = { config: Config<I>; problems: [] } | { problems: Problem[] };

/** @throws CatalystError InvalidResource with every problem in its message and in `details.problems`. */
export async function readConfig<I extends TObject>(path: string, integrations: I): Promise<Config<I>> {
  const checked = checkConfig(await readText(path), path, integrations);
  if ('config' in checked) return checked.config;
  throw wrongConfig(checked.problems, `Correct it, and check it with: catalyst-sre config check ${path}`);
}

export function wrongConfig(problems: readonly Problem[], hint: string): CatalystError {
  const lines = problems.map((p) => `${p.file}:${p.line}:${p.column} ${p.sentence}`);
  return new CatalystError('InvalidResource', `The configuration is wrong: ${lines.join(' ')}`, {
    hint,
    details: { problems },
  });
}

/** Pure: the configuration with its defaults filled in, or everything that is wrong with it. */
export function checkConfig<I extends TObject>(text: string, file: string, integrations: I): CheckedConfig<I> {
  return checkDocument<Config<I>>(text, file, configSchema(integrations), (config) =>
    crossChecks(config as unknown as Config),
  );
}

/** What holds between fields. */
function crossChecks(config: Config): Complaint[] {
  const complaints: Complaint[] = [];
  const say = (path: (string | number)[], sentence: string) => complaints.push({ path, atKey: true, sentence });
  const one = (path: (string | number)[], item: object, keys: readonly string[]) => {
    const given = keys.filter((key) => key in item);
    if (given.length !== 1)
      say(
        path,
        `"${nameOf(path)}" needs exactly one of ${keys.join(', ')}${given.length === 0 ? '' : `, and has ${given.join(' and ')}`}.`,
      );
  };
  const known = new Set(config.organizations.map((organization) => organization.name));
  const organization = (path: (string | number)[], name: string | undefined) => {
    if (name !== undefined && !known.has(name))
      say([...path, 'organization'], `There is no Organization "${name}" under "organizations".`);
  };
  const unique = (list: string, names: readonly string[]) => {
    for (const [i, name] of names.entries())
      if (names.indexOf(name) !== i) say([list, i, 'name'], `The name "${name}" is used twice in "${list}".`);
  };

  if (config.database) one(['database'], config.database, ['url', 'urlFile', 'urlEnv']);
  unique(
    'organizations',
    config.organizations.map((o) => o.name),
  );
  unique(
    'tokens',
    config.tokens.map((t) => t.name),
  );
  for (const [i, token] of config.tokens.entries()) {
    one(['tokens', i], token, ['tokenFile', 'tokenEnv']);
    organization(['tokens', i], token.organization);
    const wrong = misplacedRole(token);
    if (wrong !== undefined) say(['tokens', i, 'role'], wrong);
  }
  for (const [path, sentence] of [...loginComplaints(config), ...pagingComplaints(config)]) say(path, sentence);
  for (const [i, grant] of (config.login.oidc?.grants ?? []).entries())
    organization(['login', 'oidc', 'grants', i], grant.organization);
  // Signs of life come three times in this time: more often than each second is load, and a busy moment would look like death.
  if ((parseDuration(config.limits.takeOverAfter) ?? 0) < 3_000)
    say(['limits', 'takeOverAfter'], '"takeOverAfter" is shorter than 3s, so that a busy replica would lose its runs.');
  for (const [i, source] of config.catalog.sources.entries()) {
    one(['catalog', 'sources', i], source, ['folder', 'git', 'cluster']);
    organization(['catalog', 'sources', i, 'git'], source.git?.organization);
    if (source.folder !== undefined && liesWithin(source.folder, config.dataDir))
      say(
        ['catalog', 'sources', i, 'folder'],
        'The data directory lies in this folder: every write of the database would have it read again. Move one of them.',
      );
    if (source.git && /^[a-z+]+:\/\/[^/]*:[^/]*@/.test(source.git.repository))
      say(
        ['catalog', 'sources', i, 'git', 'repository'],
        'The address holds a password: put it into a file and name it in "tokenFile".',
      );
  }
  return complaints;
}

/** Whether whoever reads the folder walks down to the directory. */
function liesWithin(folder: string, directory: string): boolean {
  const inside = relative(resolve('/', folder), resolve('/', directory));
  return inside.split('/').every((part) => isReadFolder(part, true));
}

/** True for `host:port` of a loopback address, where nobody else can listen in on plain HTTP. */
export function thisMachine(hostAndPort: string): boolean {
  return /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/.test(hostAndPort);
}

/** A person's receiver that is missing would be found out in the night. */
function pagingComplaints({ integrations }: Config): [(string | number)[], string][] {
  const { notify } = (integrations ?? {}) as { notify?: NotifyConfig };
  const known = Object.keys(notify?.receivers ?? {});
  return Object.entries(notify?.people ?? {}).flatMap(([person, receivers]) =>
    receivers.flatMap((receiver, i): [(string | number)[], string][] =>
      known.includes(receiver)
        ? []
        : [[['integrations', 'notify', 'people', person, i], `There is no receiver "${receiver}" under "receivers".`]],
    ),
  );
}

function loginComplaints({ login, publicUrl, listen }: Config): [(string | number)[], string][] {
  const complaints: [(string | number)[], string][] = [];
  const { oidc, links } = login;
  if (links && oidc)
    complaints.push([
      ['login', 'links'],
      'With an OpenID provider there are no links: whoever makes one could approve their own plan as somebody else.',
    ]);
  if (links && !thisMachine(listen))
    complaints.push([['login', 'links'], 'Links are for one machine: let "listen" be an address of 127.0.0.1.']);
  if (publicUrl?.startsWith('http:') && !thisMachine(new URL(publicUrl).host))
    complaints.push([['publicUrl'], 'A session must not travel over plain HTTP: give an address with https.']);
  if (!oidc) return complaints;
  if (publicUrl === undefined)
    complaints.push([
      ['login', 'oidc'],
      '"publicUrl" is missing: the provider has to know where to send people back to.',
    ]);
  if (oidc.issuer.startsWith('http:') && !thisMachine(new URL(oidc.issuer).host))
    complaints.push([['login', 'oidc', 'issuer'], 'The provider must be asked over https.']);
  for (const [i, grant] of oidc.grants.entries()) {
    const wrong = wrongRule(grant);
    if (wrong !== undefined) complaints.push([['login', 'oidc', 'grants', i, 'role'], wrong]);
  }
  return complaints;
}
