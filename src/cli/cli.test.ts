import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import fc from 'fast-check';
import { temporaryDirectory } from '../../testbed/process.ts';
import { systemClock } from '../clock.ts';
import { CatalystError } from '../errors.ts';
import { terminal } from './cli-fixture.ts';
import type { CliIo } from './io.ts';
import { duration, renderTable, safe } from './printers/table.ts';
import type { Registry } from './registry.ts';

const t = terminal();
beforeEach(t.open);
afterEach(t.close);
const { start, cli } = t;

// --- reading ---------------------------------------------------------------------------------------------------------

test('get prints a table, NAME first and AGE last, data only on standard output', async () => {
  const { code, out, err } = await cli(['get', 'incidents']);
  assert.equal(code, 0);
  assert.equal(err, '');
  assert.deepEqual(out.split('\n').slice(0, 2), [
    'NAME   SEVERITY   STATE   ORGANIZATION   TITLE               AGE',
    'i1     P1         Open    acme           OpenBao is sealed   5m',
  ]);
});

test('-o json, yaml and name are for machines', async () => {
  assert.deepEqual(JSON.parse((await cli(['get', 'runs', '-o', 'json'])).out).items.length, 3);
  assert.equal(JSON.parse((await cli(['get', 'run', 'r1', '-o', 'json'])).out).runbook, 'openbao-sealed');
  assert.match((await cli(['get', 'run', 'r1', '-o', 'yaml'])).out, /^id: r1$/m);
  assert.equal((await cli(['get', 'al', '-o', 'name'])).out, 'alert/a1\nalert/a2\nalert/a3\n');
  assert.match((await cli(['get', 'alerts', '-o', 'wide'])).out, /LABELS/);
  assert.equal((await cli(['get', 'alerts', '-o', 'xml'])).code, 2);
});

test('lists are filtered and read page by page', async () => {
  for (let i = 0; i < 250; i++)
    t.fixture.alerts.push({ ...(t.fixture.alerts[0] as (typeof t.fixture.alerts)[0]), id: `x${i}` });
  assert.equal((await cli(['get', 'alerts', '-o', 'name', '--limit', '251'])).out.trim().split('\n').length, 251);
  assert.equal((await cli(['get', 'incidents', '--state', 'Resolved'])).err, 'Nothing found.\n');
  assert.match((await cli(['get', 'slos', '--service', 'shop'])).out, /^console-availability /m);
  assert.equal((await cli(['get', 'slos', '--service', 'another'])).err, 'Nothing found.\n');
  const wrong = await cli(['get', 'incidents', '--runbook', 'x']);
  assert.equal(wrong.code, 2);
  assert.match(wrong.err, /cannot be filtered by --runbook.*\nThey can be by: --state, --severity/);
});

test('describe shows what belongs to a thing', async () => {
  t.fixture.record.append({ incidentId: 'i1', sentence: 'The incident was opened.' });
  const { code, out } = await cli(['describe', 'incident', 'i1']);
  assert.equal(code, 0);
  assert.match(out, /^Severity: +P1$/m);
  assert.match(out, /^Opened At: .*\(5m ago\)$/m);
  assert.match(out, /^Runs:\n {2}NAME +RUNBOOK/m);
  assert.match(out, /^ {2}1 +openbao-sealed +Alert +11 of 12 \(92%\) +Good +Cooldown +handbook +5m$/m);
  assert.match(out, /^ {2}1\. openbao-sealed: It is triggered by OpenBaoSealed\./m);
  assert.match(out, /Timeline:\n.*The incident was opened\. \(engine\)/);
  const all = JSON.parse((await cli(['describe', 'incident', 'i1', '-o', 'json'])).out);
  assert.equal(all.severity, 'P1');
  assert.deepEqual(
    [all.alerts.length, all.runs.length, all.runbooks[0].name, all.timeline[0].sentence],
    [3, 3, 'openbao-sealed', 'The incident was opened.'],
  );
  const both = JSON.parse((await cli(['describe', 'run', 'r1', 'r2', '-o', 'json'])).out);
  assert.equal(both.items[1].journal[0].kind, 'Created');
  assert.match((await cli(['describe', 'incident', 'i1', '-o', 'yaml'])).out, /^timeline:$/m);
  assert.equal((await cli(['describe', 'incident', 'i1', '-o', 'xml'])).code, 2);
  assert.match((await cli(['describe', 'run', 'r1'])).out, /Approvals:\n {2}NAME/);
  assert.match((await cli(['describe', 'runbook', 'restart-shop'])).out, /Spec:\n {2}steps:/);
});

test('the draft of a review is printed as it is', async () => {
  assert.equal((await cli(['incident', 'review', 'i1'])).out, '# Review: OpenBao is sealed\n');
  const none = await cli(['incident', 'review', 'none']);
  assert.equal(none.code, 1);
  assert.match(none.err, /There is no incident none/);
});

test('statistics are a table like any other', async () => {
  const { out } = await cli(['get', 'statistics', '--window', '90d']);
  assert.deepEqual(out.split('\n').slice(0, 2), [
    'NAME            INCIDENTS   MEDIAN-TTA   MEDIAN-TTR   FIXED          SELF-HEALED   IN-TIME',
    'OpenBaoSealed   3           60s          <none>       3 of 4 (75%)   <none>        1 of 1 (100%)',
  ]);
  assert.equal((await cli(['get', 'statistics', '--window', 'soon'])).code, 2);
  assert.equal((await cli(['get', 'statistics', '--by', 'moon'])).code, 2);
});

test('--watch prints the list, then each change', async () => {
  const session = start(['get', 'incidents', '-w']);
  await session.sees(/^i3 /m);
  Object.assign(t.fixture.incidents[0] ?? {}, { state: 'Acknowledged' });
  t.fixture.record.append({ kind: 'incident.acknowledged', incidentId: 'i1' }, { kind: 'run.created', runId: 'r1' });
  await session.sees(/^i1 +P1 +Acknowledged/m);
  t.interrupt();
  assert.equal((await session.ended).code, 0);
  assert.ok(!session.out().includes('r1 '));
});

test('dead letters are shown, and told of when one comes', async () => {
  assert.match((await cli(['get', 'dl'])).out, /^7 +am +acme +3 +It is not JSON\. +5m$/m);
  const session = start(['get', 'deadletters', '-w', '-o', 'name']);
  await session.sees(/deadletter\/6/);
  t.fixture.record.append({ kind: 'delivery.deadLettered' });
  await session.sees(/deadletter\/6\ndeadletter\/7/);
  t.interrupt();
  await session.ended;
});

test('--watch goes on where it was when the connection breaks', async () => {
  const session = start(['get', 'record', '-w', '-o', 'name']);
  t.fixture.record.append({});
  await session.sees(/record\/1/);
  t.app.server.closeAllConnections();
  t.fixture.record.append({}, {});
  await session.sees(/record\/3/);
  t.interrupt();
  await session.ended;
  assert.deepEqual(session.out().trim().split('\n'), ['record/1', 'record/2', 'record/3']);
});

test('--watch of a server that is not there, or of what one may not see, is an error', async () => {
  const dead = await cli(['get', 'runs', '-w'], { environment: { CATALYST_SRE_SERVER: 'http://127.0.0.1:1' } });
  assert.equal(dead.code, 1);
  assert.match(dead.err, /does not answer/);
  const environment = { CATALYST_SRE_SERVER: t.server, CATALYST_SRE_TOKEN: 'acme-viewer-token' };
  const forbidden = await cli(['get', 'record', '-w'], { environment });
  assert.equal(forbidden.code, 1);
  assert.match(forbidden.err, /The role org-viewer may not do this/);
});

test('text from outside cannot act upon the terminal', async () => {
  assert.equal(safe('a\u001b[2Jb\r\nc\u202ed'), 'a [2Jb c d');
  Object.assign(t.fixture.incidents[0] ?? {}, { title: '\u001b]0;owned\u0007x\nFAKE   ROW' });
  for (const argv of [
    ['get', 'incidents'],
    ['describe', 'incident', 'i1'],
  ])
    assert.ok(!/[^\P{Cc}\n]/u.test((await cli(argv)).out));
  assert.equal((await cli(['get', 'incidents'])).out.trim().split('\n').length, 4);
});

test('colour only on a terminal, never with NO_COLOR, always when asked', async () => {
  const env = { CATALYST_SRE_SERVER: t.server, CATALYST_SRE_TOKEN: 'root-token' };
  const coloured = async (argv: string[], change: Partial<CliIo>) => (await cli(argv, change)).out.includes('\u001b[');
  assert.equal(await coloured(['get', 'incidents'], {}), false);
  assert.equal(await coloured(['get', 'incidents'], { terminal: true }), true);
  assert.equal(await coloured(['get', 'incidents'], { terminal: true, environment: { ...env, NO_COLOR: '1' } }), false);
  assert.equal(await coloured(['get', 'incidents', '--color', 'always'], {}), true);
});

// --- acting ----------------------------------------------------------------------------------------------------------

test('commands print what became of it', async () => {
  assert.equal((await cli(['incident', 'ack', 'i1', '-m', 'on it'])).out, 'incident/i1 acknowledged\n');
  assert.equal((await cli(['incident', 'ack', 'i1', '--seen', '7'])).code, 0);
  assert.equal((await cli(['incident', 'ack', 'i1', '--seen', 'x'])).code, 2);
  assert.equal((await cli(['link-key', 'replace'])).out, 'link-key replaced\n');
  assert.equal((await cli(['incident', 'resolve', 'i1', '-m', 'fixed'])).out, 'incident/i1 resolved\n');
  assert.equal((await cli(['incident', 'note', 'i1', '-m', 'hm', '-o', 'name'])).out, 'incident/i1\n');
  assert.equal((await cli(['incident', 'resolve', 'i1', '-m', 'a test', '--false-alarm'])).code, 0);
  assert.equal((await cli(['incident', 'merge', 'i1', '--into', 'i3'])).out, 'incident/i3 goes on with i1\n');
  assert.equal((await cli(['incident', 'split', 'i1', '--alerts', 'a1', 'a2'])).out, 'incident/i1 split off\n');
  assert.equal((await cli(['run', 'approve', 'r1', '--plan-digest', 'abc'])).out, 'run/r1 approved\n');
  assert.equal((await cli(['run', 'cancel', 'r1'])).out, 'run/r1 asked to stop\n');
  assert.match(
    (await cli(['runbook', 'run', 'restart-shop', '--set', 'count=2', '--set', 'tag="7"', '--dry-run'])).out,
    /^run\/r\d created \(dry run\)\n$/,
  );
  assert.deepEqual(t.fixture.commands, [
    'acknowledge i1 token/root on it',
    'acknowledge i1 token/root 7',
    'replace link-key token/root',
    'resolve i1 token/root fixed',
    'note i1 token/root hm',
    'resolve i1 token/root a test false alarm',
    'merge i1 token/root i3',
    'split i1 token/root a1,a2',
    'approve r1 token/root abc',
    'cancel r1 token/root',
    'start restart-shop token/root {"count":2,"tag":"7"} dry',
  ]);
});

test('a command is sent again when the server was away, and carried out once', async () => {
  let calls = 0;
  const flaky: typeof fetch = async (input, init) => {
    calls += 1;
    if (calls === 1) throw new TypeError('fetch failed', { cause: new Error('connect ECONNREFUSED') });
    const answer = await fetch(input, init);
    // The answer of the second try is lost on the way back.
    if (calls === 2) throw new TypeError('fetch failed', { cause: new Error('socket hang up') });
    return answer;
  };
  const { code, err } = await cli(['run', 'cancel', 'r1'], {
    fetch: flaky,
    clock: { ...systemClock, sleep: async () => {} },
  });
  assert.equal(code, 0);
  assert.deepEqual(t.fixture.commands, ['cancel r1 token/root']);
  assert.match(err, /does not answer: connect ECONNREFUSED\. Trying again\./);
});

test('--follow tells what happens and ends as the run ends', async () => {
  for (const [outcome, reason, code] of [
    ['Succeeded', undefined, 0],
    ['Failed', 'VerificationFailed', 4],
    ['Failed', 'ActionFailed', 1],
    ['Refused', 'Cooldown', 5],
  ] as const) {
    const session = start(['runbook', 'run', 'restart-shop', '-f', '-o', 'name']);
    await session.sees(/run\/r\d/);
    const run = t.fixture.runs.at(-1);
    assert.ok(run);
    Object.assign(run, { state: 'Ended', outcome, reason, sentence: 'It is over.' });
    t.fixture.record.append(
      { kind: 'run.entry', runId: run.id, sentence: 'Restarting.' },
      { kind: 'run.ended', runId: run.id },
    );
    const result = await session.ended;
    assert.equal(result.code, code, `${outcome} ${reason}`);
    assert.match(result.err, /Restarting\.\n(.*\n)*It is over\.\n$/);
  }
});

test('exit codes: usage 2, failure 1, guard 5, broken record 4', async () => {
  assert.equal((await cli(['frobnicate'])).code, 2);
  assert.equal((await cli(['get'])).code, 2);
  assert.equal((await cli(['get', 'alerts', '--nonsense'])).code, 2);
  assert.equal((await cli(['incident', 'resolve', 'i1'])).code, 2);
  assert.equal((await cli(['runbook', 'run', 'x', '--set', '=1'])).code, 2);
  assert.equal((await cli(['get', 'run', 'none'])).code, 1);
  t.fixture.fail.command = new CatalystError('RefusedByGuard', 'It cools down until 12:10.', {
    details: { reason: 'Cooldown' },
  });
  const refused = await cli(['run', 'approve', 'r1']);
  assert.deepEqual([refused.code, refused.err], [5, 'Error: It cools down until 12:10.\nReason: Cooldown\n']);
  assert.equal((await cli(['audit', 'verify'])).code, 0);
  t.fixture.ports.record.verify = async () => ({
    intact: false,
    entries: 1,
    brokenAt: 2,
    sentence: 'Entry 2 is missing.',
  });
  const broken = await cli(['audit', 'verify']);
  assert.deepEqual([broken.code, broken.out], [4, 'The record is broken at entry 2: Entry 2 is missing.\n']);
});

test('a misspelt command gets a suggestion', async () => {
  assert.match((await cli(['incidnt'])).err, /Unknown command 'incidnt'\s+\(Did you mean incident\?\)/i);
});

// --- connecting ------------------------------------------------------------------------------------------------------

test('the server is found by flag, environment, user file, sandbox file, in this order', async () => {
  const nobody = {};
  const nothing = await cli(['get', 'alerts'], { environment: nobody });
  assert.equal(nothing.code, 2);
  assert.match(nothing.err, /No server is named\.\nGive --server URL/);

  await mkdir(join(t.folder, '.catalyst-sre'));
  await writeFile(
    join(t.folder, '.catalyst-sre', 'cli.json'),
    JSON.stringify({ server: t.server, token: 'root-token' }),
  );
  assert.equal((await cli(['get', 'alerts'], { environment: nobody })).code, 0);

  await mkdir(join(t.folder, '.config', 'catalyst-sre'), { recursive: true });
  await writeFile(join(t.folder, 'token'), 'acme-viewer-token\n');
  await writeFile(
    join(t.folder, '.config', 'catalyst-sre', 'config.yaml'),
    `server: ${t.server}\ntokenFile: ${join(t.folder, 'token')}\n`,
  );
  assert.equal((await cli(['get', 'alerts', '-o', 'name'], { environment: nobody })).out, 'alert/a1\n');
  assert.equal((await cli(['get', 'alerts'], { environment: { CATALYST_SRE_SERVER: 'http://127.0.0.1:1' } })).code, 1);
  assert.equal(
    (await cli(['get', 'alerts', '--server', t.server], { environment: { CATALYST_SRE_SERVER: 'http://127.0.0.1:1' } }))
      .code,
    0,
  );
});

test('a token is never sent to another server than the one it stands beside', async () => {
  await mkdir(join(t.folder, '.catalyst-sre'));
  await writeFile(
    join(t.folder, '.catalyst-sre', 'cli.json'),
    JSON.stringify({ server: 'http://other.example', token: 'other-token' }),
  );
  const sent: (string | undefined)[] = [];
  const spy: typeof fetch = async (input, init) => {
    sent.push(new Headers(init?.headers).get('authorization') ?? undefined);
    return fetch(input, init);
  };
  const { code, err } = await cli(['get', 'alerts'], { environment: { CATALYST_SRE_SERVER: t.server }, fetch: spy });
  assert.equal(code, 1);
  assert.match(err, /No token was sent/);
  assert.deepEqual(sent, [undefined]);
});

test('an answer that is not ours is told apart, and no secret is printed', async () => {
  const html: typeof fetch = async () => new Response('<html>', { status: 200 });
  assert.match((await cli(['get', 'alerts'], { fetch: html })).err, /not JSON.*\nIs this the address/);
  const wrong = await cli(['get', 'alerts'], {
    environment: { CATALYST_SRE_SERVER: t.server, CATALYST_SRE_TOKEN: 'not-the-token' },
  });
  assert.ok(!wrong.err.includes('not-the-token'));
  assert.match(wrong.err, /Check the token/);
});

// --- offline ---------------------------------------------------------------------------------------------------------

const problem = {
  severity: 'error' as const,
  rule: 'unknown-action',
  sentence: 'There is no action "kubernetes scal".',
  source: 'folder',
  file: 'a.yaml',
  line: 10,
  column: 15,
};
const registry: Registry = {
  version: '1.2.3',
  lintRunbooks: async (paths) => ({ documents: paths.length, problems: paths.includes('bad') ? [problem] : [] }),
  explainRunbooks: async () => ({
    problems: [],
    explanations: [
      {
        name: 'openbao-sealed',
        file: 'a.yaml',
        line: 1,
        mode: 'Automatic',
        triggers: ['alert OpenBaoSealed'],
        target: 'StatefulSet openbao/openbao',
        preconditions: [{ check: 'spire.server.healthy', facts: ['spire.server.healthy'] }],
        steps: [
          {
            name: 'unseal',
            kind: 'run',
            sentence: 'openbao operator unseal, at most 1m',
            effects: ['Change'],
            facts: [],
            undo: 'openbao operator seal',
          },
        ],
        rollback: 'Undo what can be undone, and page.',
        guards: ['it ran less than 5m ago'],
      },
    ],
  }),
  explainAlert: async () => {
    throw new CatalystError('Internal', 'Nobody asked for it.');
  },
  testRunbooks: async () => ({
    cases: [
      { file: 'a.test.yaml', line: 3, name: 'unseals', passed: true, took: 2 },
      {
        file: 'a.test.yaml',
        line: 9,
        name: 'pages',
        passed: false,
        sentence: 'expected Failed, and it Succeeded',
        took: 1,
      },
    ],
  }),
  listDrills: async () => [{ name: 'openbao-sealed', description: 'Seals OpenBao.' }],
  runDrill: async (name, onEvent) => {
    onEvent({ at: 0, kind: 'fault', sentence: 'OpenBao was sealed.' });
    onEvent({ at: 2_345, kind: 'verification', sentence: 'openbao.status.sealed == false holds.' });
    return {
      passed: name !== 'hopeless',
      sentence: 'OpenBao was unsealed.',
      took: 2_400,
      measured: { 'time to detect': '1.1s' },
    };
  },
  renderers: {
    crds: {
      description: 'Custom resource definitions.',
      render: async () => ({ files: [{ path: 'crds/runbook.yaml', text: 'kind: X\n' }], problems: [] }),
    },
    evil: { description: 'x', render: async () => ({ files: [{ path: '../x', text: '' }], problems: [] }) },
  },
};

test('lint prints file:line:col and a sentence; errors are exit code 2', async () => {
  const bad = await cli(['runbook', 'lint', 'bad', 'good'], {}, registry);
  assert.equal(bad.code, 2);
  assert.equal(bad.out, 'a.yaml:10:15: error: There is no action "kubernetes scal". (unknown-action)\n');
  assert.equal(bad.err, '2 documents, 1 errors, 0 warnings.\n');
  assert.equal((await cli(['runbook', 'lint', 'good'], {}, registry)).code, 0);
  assert.deepEqual(JSON.parse((await cli(['runbook', 'lint', 'bad', '-o', 'json'], {}, registry)).out).problems, [
    problem,
  ]);
});

test('explain, test, drill and render print what they found', async () => {
  const explained = await cli(['runbook', 'explain', 'a.yaml'], {}, registry);
  assert.match(
    explained.out,
    /Only if:\n {2}- spire\.server\.healthy \(reads spire\.server\.healthy\)\nSteps:\n {2}1\. run +unseal: openbao operator unseal, at most 1m\n +effects: Change\n +undone by: openbao operator seal/,
  );
  const tested = await cli(['runbook', 'test', 'a.yaml'], {}, registry);
  assert.equal(tested.code, 1);
  assert.match(tested.out, /^a\.test\.yaml:9: failed: pages: expected Failed, and it Succeeded$/m);
  assert.match((await cli(['drill', 'list'], {}, registry)).out, /^openbao-sealed +Seals OpenBao\.$/m);
  const drilled = await cli(['drill', 'openbao-sealed', '--alone'], {}, registry);
  assert.equal(drilled.code, 0);
  assert.match(drilled.out, /^ {3}\+0\.0s {2}✗ fault +OpenBao was sealed\.\n {3}\+2\.3s {2}✓ verification +openbao/);
  assert.match(drilled.out, /openbao-sealed passed in 2\.4s: OpenBao was unsealed\.\n {2}time to detect {2}1\.1s\n$/);
  assert.equal((await cli(['drill', 'hopeless', '--alone'], {}, registry)).code, 4);
  const rendered = await cli(['render', 'crds', '--out', 'gen'], {}, registry);
  assert.equal(rendered.out.trim(), join(t.folder, 'gen', 'crds', 'runbook.yaml'));
  assert.equal(await readFile(join(t.folder, 'gen', 'crds', 'runbook.yaml'), 'utf8'), 'kind: X\n');
  assert.equal((await cli(['render', 'evil', '--out', 'gen'], {}, registry)).code, 1);
});

test('a command that is not wired is not offered', async () => {
  assert.equal((await cli(['drill', 'list'])).code, 2);
  assert.ok(!(await cli(['--help'])).out.includes('drill'));
});

test('every command has help with an example', async () => {
  const commands = [
    ['get'],
    ['describe'],
    ['incident', 'ack'],
    ['incident', 'resolve'],
    ['incident', 'note'],
    ['run', 'approve'],
    ['run', 'reject'],
    ['run', 'cancel'],
    ['runbook', 'run'],
    ['runbook', 'lint'],
    ['runbook', 'explain'],
    ['runbook', 'test'],
    ['drill'],
    ['audit', 'verify'],
    ['render'],
    ['completion'],
    ['version'],
  ];
  for (const command of commands) {
    const { code, out } = await cli([...command, '--help'], {}, registry);
    assert.equal(code, 0);
    assert.match(out, /Examples:\n {2}.*catalyst-sre/, command.join(' '));
  }
});

test('completion is valid and complete for its shell', async () => {
  const bash = (await cli(['completion', 'bash'], {}, registry)).out;
  const complete = (...words: string[]) =>
    execFileSync(
      'bash',
      [
        '-c',
        `${bash}\nCOMP_WORDS=(${words.map((w) => `'${w}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _catalyst_sre; printf '%s\\n' "\${COMPREPLY[@]}"`,
      ],
      { encoding: 'utf8' },
    )
      .trim()
      .split('\n');
  assert.deepEqual(complete('catalyst-sre', 'inc'), ['incident']);
  assert.deepEqual(complete('catalyst-sre', 'incident', 'r'), ['resolve', 'review']);
  assert.deepEqual(complete('catalyst-sre', 'get', 'appr'), ['approvals']);
  assert.deepEqual(complete('catalyst-sre', 'get', '--sev'), ['--severity']);
  for (const shell of ['zsh', 'fish'])
    for (const word of ['incident', 'resolve', 'approvals', 'severity'])
      assert.ok((await cli(['completion', shell], {}, registry)).out.includes(word), `${shell} ${word}`);
  assert.equal((await cli(['completion', 'tcsh'])).code, 2);
});

test('the program starts on the pinned Node, whichever one starts it', () => {
  const bin = new URL('../../bin/catalyst-sre.js', import.meta.url).pathname;
  for (const node of [process.execPath, '/usr/bin/node']) {
    const run = spawnSync(node, [bin, 'version', '-o', 'json'], { encoding: 'utf8' });
    if (run.error) continue;
    assert.equal(run.status, 0, run.stderr);
    assert.match(JSON.parse(run.stdout).node, /^24\./);
    assert.equal(spawnSync(node, [bin, 'nonsense']).status, 2);
  }
});

test('the program runs what is built, and its sources where one of them is younger', () => {
  const folder = temporaryDirectory('program');
  const put = (path: string, text: string, time: number) => {
    const file = join(folder.path, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    utimesSync(file, time, time);
  };
  const said = () =>
    spawnSync(process.execPath, [join(folder.path, 'bin/catalyst-sre.js')], { encoding: 'utf8' }).stdout;
  put('package.json', '{"type": "module"}', 1);
  put('bin/catalyst-sre.js', readFileSync(new URL('../../bin/catalyst-sre.js', import.meta.url), 'utf8'), 1);
  put('src/main.ts', 'console.log("sources" as string)', 1_000);
  put('sandbox/deep/part.ts', '', 1_000);
  assert.equal(said(), 'sources\n', 'nothing is built');
  put('dist/server/main.js', 'console.log("built")', 2_000);
  put('dist/server/sources.txt', 'digest\nsrc/main.ts\nsandbox/deep/part.ts\n', 2_000);
  assert.equal(said(), 'built\n');
  put('sandbox/deep/part.ts', '', 2_001);
  assert.equal(said(), 'sources\n', 'a source is younger');
  rmSync(join(folder.path, 'sandbox'), { recursive: true });
  assert.equal(said(), 'sources\n', 'a source is gone');
  rmSync(join(folder.path, 'src'), { recursive: true });
  assert.equal(said(), 'built\n', 'there are no sources');
  folder.remove();
});

// --- printing --------------------------------------------------------------------------------------------------------

test('ages are written as kubectl writes them', () => {
  const minute = 60_000;
  const hour = 60 * minute;
  const day = 24 * hour;
  for (const [ms, text] of [
    [-5_000, '0s'],
    [119_000, '119s'],
    [2 * minute, '2m'],
    [2 * minute + 10_000, '2m10s'],
    [10 * minute, '10m'],
    [3 * hour + 20 * minute, '3h20m'],
    [10 * hour, '10h'],
    [2 * day + 3 * hour, '2d3h'],
    [12 * day, '12d'],
    [900 * day, '2y170d'],
  ] as const)
    assert.equal(duration(ms), text);
});

test('a table is aligned whatever stands in it', () => {
  const columns = ['a', 'b', 'c'].map((key) => ({
    header: key.toUpperCase(),
    value: (item: Record<string, unknown>) => String(item[key]),
  }));
  fc.assert(
    fc.property(
      fc.array(fc.record({ a: fc.string(), b: fc.string(), c: fc.constant('end') }), { minLength: 1 }),
      (items) => {
        const { lines } = renderTable(columns, items, { wide: false, colour: false, now: 0 });
        assert.equal(lines.length, items.length + 1);
        const at = (lines[0] ?? '').lastIndexOf('C');
        for (const line of lines.slice(1)) assert.equal(line.slice(at), 'end');
      },
    ),
  );
});
