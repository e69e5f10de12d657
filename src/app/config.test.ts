import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import Type from 'typebox';
import type { CatalystError } from '../errors.ts';
import { IntegrationsConfig } from '../integrations/all.ts';
import { checkConfig, readConfig } from './config.ts';
import { databaseLocation, readSecret, readTokens, repositoryName } from './secrets.ts';

const integrations = Type.Object(
  {
    openbao: Type.Optional(
      Type.Object({ address: Type.String({ description: 'Address.' }) }, { additionalProperties: false }),
    ),
  },
  { additionalProperties: false, default: {} },
);
const check = (text: string) => checkConfig(text, 'c.yaml', integrations);

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'config-'));
});
after(() => rm(directory, { recursive: true }));

test('a person is reached by receivers that there are', () => {
  const notify = {
    receivers: { mail: { webhook: { url: 'https://x.example' } } },
    people: { mira: ['mail', 'phone'] },
  };
  const checked = checkConfig(
    JSON.stringify({ sovereign: { name: 'x' }, integrations: { notify } }),
    'c.yaml',
    IntegrationsConfig,
  );
  assert.deepEqual(
    checked.problems.map(({ sentence }) => sentence),
    ['There is no receiver "phone" under "receivers".'],
  );
});

test('a small configuration is enough; everything else has a default, and the careful one', () => {
  const checked = check('sovereign: {name: hz-fsn}\n');
  assert.ok('config' in checked, JSON.stringify(checked.problems));
  const { config } = checked;
  assert.equal(config.listen, '127.0.0.1:8080');
  assert.equal(config.sovereign.mode, 'Suggest');
  assert.deepEqual(config.policy, { defaultRunbookMode: 'Suggest', confirmFiring: true });
  assert.equal(config.limits.deliveryBytes, 32 * 1024 * 1024);
  assert.equal(config.telemetry.logLevel, 'info');
  assert.deepEqual(config.catalog.sources, []);
});

/** Each wrong text, and the line, column and words of what is said about it. */
const wrong: Record<string, [string, number, number, RegExp]> = {
  'missing-sovereign': ['listen: 127.0.0.1:1\n', 1, 1, /needs "sovereign"/],
  'misspelt-key': ['sovereign: {name: x}\ntokenz: []\n', 2, 1, /"tokenz" is not known here; did you mean "tokens"\?/],
  'unknown-key': ['sovereign: {name: x}\nfrobnicate: 1\n', 2, 1, /Known are: listen, /],
  'nested-misspelt-key': ['sovereign:\n  name: x\n  moed: Suggest\n', 3, 3, /"sovereign.moed".*did you mean "mode"/],
  'wrong-word': ['sovereign:\n  name: x\n  mode: automatic\n', 3, 9, /one of Suggest, Approval, Automatic/],
  'wrong-type': [
    'sovereign: {name: x}\nlimits:\n  connections: many\n',
    3,
    16,
    /must be a whole number, and is the text "many"/,
  ],
  'wrong-form': ['sovereign: {name: x}\nlisten: 8080x\n', 2, 9, /write it like "127.0.0.1:8080"/],
  'broken-yaml': ['sovereign: {name: x\n', 2, 1, /not valid YAML here/],
  'duplicate-key': ['sovereign: {name: x}\nlisten: a:1\nlisten: b:1\n', 3, 1, /The key listen is there twice/],
  'two-secrets': [
    'sovereign: {name: x}\ntokens:\n  - name: a\n    role: intake\n    tokenFile: /x\n    tokenEnv: X\n',
    3,
    5,
    /"tokens\[0\]" needs exactly one of tokenFile, tokenEnv, and has tokenFile and tokenEnv/,
  ],
  'no-secret': [
    'sovereign: {name: x}\ntokens:\n  - {name: a, role: intake}\n',
    3,
    5,
    /exactly one of tokenFile, tokenEnv\./,
  ],
  'organization-role-without-organization': [
    'sovereign: {name: x}\ntokens:\n  - name: a\n    role: org-admin\n    tokenFile: /x\n',
    4,
    5,
    /give "organization"/,
  ],
  'unknown-organization': [
    'sovereign: {name: x}\ntokens:\n  - {name: a, role: org-admin, organization: acme, tokenFile: /x}\n',
    3,
    32,
    /no Organization "acme"/,
  ],
  'token-name-twice': [
    'sovereign: {name: x}\ntokens:\n  - {name: a, role: intake, tokenFile: /x}\n  - {name: a, role: metrics, tokenFile: /y}\n',
    4,
    6,
    /used twice/,
  ],
  'data-inside-a-folder-of-the-catalog': [
    'sovereign: {name: x}\ndataDir: /srv/sre/data\ncatalog:\n  sources:\n    - folder: /srv/sre/\n',
    5,
    7,
    /data directory lies in this folder/,
  ],
  'password-in-git-url': [
    'sovereign: {name: x}\ncatalog:\n  sources:\n    - git:\n        repository: https://u:p@git.example/a/b\n',
    5,
    9,
    /holds a password/,
  ],
  'password-in-database-url': [
    'sovereign: {name: x}\ndatabase:\n  url: postgres://u:secret@db/x\n',
    3,
    8,
    /does not have the right form/,
  ],
  'two-sources-in-one': [
    'sovereign: {name: x}\ncatalog:\n  sources:\n    - folder: /x\n      cluster: {}\n',
    4,
    7,
    /exactly one of folder, git, cluster/,
  ],
  'unknown-integration': ['sovereign: {name: x}\nintegrations:\n  openbaoo: {}\n', 3, 3, /did you mean "openbao"/],
};
for (const [rule, [text, line, column, sentence]] of Object.entries(wrong))
  test(`says where and what: ${rule}`, () => {
    const { problems } = check(text);
    const [first] = problems;
    assert.ok(first, 'it was accepted');
    assert.match(first.sentence, sentence);
    assert.deepEqual([first.line, first.column], [line, column], first.sentence);
    assert.ok(!/secret/.test(JSON.stringify(problems)) || rule !== 'password-in-database-url');
  });

test('no text makes checking fail: it is right, or every problem has a place', () => {
  const yamlish = fc.array(
    fc.oneof(
      fc.constantFrom(
        'sovereign:',
        '  name: x',
        'tokens:',
        '  - name: a',
        '    role: intake',
        'listen: a:1',
        '- ',
        '? ',
        '&a',
        '*a',
        '<<: *a',
        '"',
      ),
      fc.string(),
    ),
    { maxLength: 12 },
  );
  fc.assert(
    fc.property(yamlish, (lines) => {
      const checked = check(lines.join('\n'));
      for (const problem of checked.problems)
        assert.ok(problem.line >= 1 && problem.column >= 1 && problem.sentence.length > 5);
      assert.equal('config' in checked, checked.problems.length === 0);
    }),
  );
});

test('a wrong file is refused with file, line and what to do', async () => {
  const path = join(directory, 'wrong.yaml');
  await writeFile(path, 'sovereign: {name: x}\nlisten: 5\n');
  await assert.rejects(readConfig(path, integrations), (error: CatalystError) => {
    assert.equal(error.code, 'InvalidResource');
    assert.match(error.message, /wrong\.yaml:2:9 "listen" must be text/);
    assert.match(error.hint ?? '', /config check/);
    return true;
  });
  await assert.rejects(readConfig(join(directory, 'none.yaml'), integrations), /none\.yaml cannot be read/);
});

test('secrets come from files and variables, and never show in an error', async () => {
  const file = join(directory, 'token');
  await writeFile(file, 'a-long-enough-token-0001\n');
  const config = {
    tokens: [
      { name: 'a', role: 'intake' as const, tokenFile: file },
      { name: 'b', role: 'metrics' as const, tokenEnv: 'B' },
    ],
  };
  const tokens = await readTokens(config, { B: 'another-long-token-0002' });
  assert.deepEqual(
    tokens.map((token) => [token.name, token.role]),
    [
      ['a', 'intake'],
      ['b', 'metrics'],
    ],
  );
  await assert.rejects(readTokens(config, { B: 'a-long-enough-token-0001' }), /Tokens a and b are the same secret/);
  await assert.rejects(
    readTokens(config, { B: 'shorty' }),
    (error: CatalystError) => !/shorty/.test(error.message) && /shorter than 16/.test(error.message),
  );
  await assert.rejects(readTokens(config, {}), /variable B is empty/);
  await assert.rejects(readSecret('X', { file: join(directory, 'none') }, {}), /cannot be read/);
  assert.deepEqual(await databaseLocation({ dataDir: '/d' }, {}), { kind: 'embedded', directory: '/d' });
  const postgres = { dataDir: '/d', database: { urlEnv: 'U', poolSize: 5 } };
  assert.deepEqual(await databaseLocation(postgres, { U: 'postgres://u:p@h/d' }), {
    kind: 'postgres',
    url: 'postgres://u:p@h/d',
    poolSize: 5,
  });
  await assert.rejects(
    databaseLocation(postgres, { U: 'mysql://u:hunter2@h/d' }),
    (error: CatalystError) => !/hunter2/.test(error.message),
  );
});

test('repositories are named as Gitea names them', () => {
  for (const url of [
    'https://g.example/acme/runbooks.git',
    'https://g.example/acme/runbooks',
    'git@g.example:acme/runbooks.git',
    'ssh://git@g.example:22/acme/runbooks/',
  ])
    assert.equal(repositoryName(url), 'acme/runbooks', url);
});
