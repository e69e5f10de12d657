/** Reads the configuration file: YAML, validated as a whole, every problem with its line. */
import { readFile } from 'node:fs/promises';
import { Ajv } from 'ajv';
import type { TObject, TSchema } from 'typebox';
import { type Document, isMap, isPair, isScalar, LineCounter, type Node, parseDocument } from 'yaml';
import { misplacedRole, wrongRule } from '../api/session/claims.ts';
import { parseDuration } from '../catalog/duration.ts';
import type { Problem } from '../catalog/resource.ts';
import { CatalystError, messageOf } from '../errors.ts';
import { type Config, configSchema } from './config-schema.ts';
import { type Complaint, complaintOf, nameOf } from './schema-problems.ts';

export type { Config } from './config-schema.ts';

export type CheckedConfig<I extends TObject> = { config: Config<I>; problems: [] } | { problems: Problem[] };

/** Nobody writes a configuration of a mebibyte; a larger file is another file. */
const maxBytes = 1024 * 1024;

/** @throws CatalystError InvalidResource with every problem in its message and in `details.problems`. */
export async function readConfig<I extends TObject>(path: string, integrations: I): Promise<Config<I>> {
  const checked = checkConfig(await readText(path), path, integrations);
  if ('config' in checked) return checked.config;
  const lines = checked.problems.map((p) => `${p.file}:${p.line}:${p.column} ${p.sentence}`);
  throw new CatalystError('InvalidResource', `The configuration is wrong: ${lines.join(' ')}`, {
    hint: `Correct it, and check it with: catalyst-sre config check ${path}`,
    details: { problems: checked.problems },
  });
}

export async function readText(path: string): Promise<string> {
  try {
    const text = await readFile(path);
    if (text.length > maxBytes)
      throw new CatalystError('InvalidResource', `${path} is larger than a configuration can be (${maxBytes} bytes).`);
    return text.toString('utf8');
  } catch (error) {
    if (error instanceof CatalystError) throw error;
    throw new CatalystError('InvalidResource', `${path} cannot be read: ${messageOf(error)}.`, {
      cause: error,
      hint: 'Check the path and who may read it.',
    });
  }
}

/** Pure: the configuration with its defaults filled in, or everything that is wrong with it. */
export function checkConfig<I extends TObject>(text: string, file: string, integrations: I): CheckedConfig<I> {
  return checkDocument<Config<I>>(text, file, configSchema(integrations), (config) =>
    crossChecks(config as unknown as Config),
  );
}

/** The same for any schema; `crossChecks` says what holds between fields. */
export function checkDocument<T>(
  text: string,
  file: string,
  schema: TSchema,
  crossChecks: (value: T) => readonly Complaint[],
): { config: T; problems: [] } | { problems: Problem[] } {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, version: '1.2', stringKeys: true });
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const problem = (rule: string, sentence: string, offset: number): Problem => ({
    severity: 'error',
    rule,
    sentence,
    source: 'configuration',
    file,
    ...at(offset),
  });
  if (document.errors.length > 0)
    return {
      problems: document.errors.map((e) => problem('yaml', `The YAML cannot be read: ${messageOf(e)}.`, e.pos[0])),
    };
  let value: unknown;
  try {
    // A hundred aliases are more than anybody writes, and far fewer than it takes to fill the memory.
    value = document.toJS({ maxAliasCount: 100 }) ?? {};
  } catch (error) {
    return { problems: [problem('yaml', `The YAML cannot be read: ${messageOf(error)}.`, 0)] };
  }
  const validate = new Ajv({ allErrors: true, useDefaults: true, strict: false, verbose: true }).compile(schema);
  const complaints = validate(value)
    ? crossChecks(value as T)
    : (validate.errors ?? []).map((error) =>
        complaintOf(error, error.data, Object.keys((error.parentSchema?.properties as object | undefined) ?? {})),
      );
  if (complaints.length === 0) return { config: value as T, problems: [] };
  return {
    problems: complaints.map((c) => problem('configuration', c.sentence, offsetOf(document, c.path, c.atKey))),
  };
}

/** Where in the text a path is; the nearest part of it that is there. */
function offsetOf(document: Document.Parsed, path: readonly (string | number)[], atKey: boolean): number {
  for (let depth = path.length; depth >= 0; depth--) {
    const node = document.getIn(path.slice(0, depth), true) as Node | undefined;
    if (!node) continue;
    const key = atKey || depth < path.length ? keyOffset(document, path.slice(0, depth)) : undefined;
    const offset = key ?? node.range?.[0];
    if (offset !== undefined) return offset;
  }
  return 0;
}

function keyOffset(document: Document.Parsed, path: readonly (string | number)[]): number | undefined {
  const parent = document.getIn(path.slice(0, -1), true);
  if (!isMap(parent)) return undefined;
  const pair = parent.items.find((item) => isPair(item) && isScalar(item.key) && item.key.value === path.at(-1));
  return pair && isScalar(pair.key) ? pair.key.range?.[0] : undefined;
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
  for (const [path, sentence] of loginComplaints(config)) say(path, sentence);
  for (const [i, grant] of (config.login.oidc?.grants ?? []).entries())
    organization(['login', 'oidc', 'grants', i], grant.organization);
  // Signs of life come three times in this time: more often than each second is load, and a busy moment would look like death.
  if ((parseDuration(config.limits.takeOverAfter) ?? 0) < 3_000)
    say(['limits', 'takeOverAfter'], '"takeOverAfter" is shorter than 3s, so that a busy replica would lose its runs.');
  for (const [i, source] of config.catalog.sources.entries()) {
    one(['catalog', 'sources', i], source, ['folder', 'git', 'cluster']);
    organization(['catalog', 'sources', i, 'git'], source.git?.organization);
    if (source.git && /^[a-z+]+:\/\/[^/]*:[^/]*@/.test(source.git.repository))
      say(
        ['catalog', 'sources', i, 'git', 'repository'],
        'The address holds a password: put it into a file and name it in "tokenFile".',
      );
  }
  for (const [i, receiver] of config.notify.receivers.entries()) {
    one(['notify', 'receivers', i], receiver, ['webhook', 'mail']);
    if (receiver.webhook) one(['notify', 'receivers', i, 'webhook'], receiver.webhook, ['url', 'urlFile']);
    organization(['notify', 'receivers', i], receiver.organization);
  }
  return complaints;
}

/** True for `host:port` of a loopback address, where nobody else can listen in on plain HTTP. */
export function thisMachine(hostAndPort: string): boolean {
  return /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/.test(hostAndPort);
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
