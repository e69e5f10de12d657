import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { createRegistry } from '../app/registry.ts';
import { terminal } from './cli-fixture.ts';
import { labelsOf } from './explain.ts';

const t = terminal();
beforeEach(t.open);
afterEach(t.close);
const registry = createRegistry({ version: '1.2.3', environment: {}, home: '/nowhere', directory: '/nowhere' });
const cli = (...argv: string[]) => t.cli(argv, {}, registry);

test('a server says what it would do about an alert, with each fact, its value and its age', async () => {
  const { code, out } = await cli('runbook', 'explain', '--alert', 'a1');
  assert.equal(code, 0);
  assert.match(out, /^Verdict: +It would not act\. Cooldown: It acted on this target 1m ago/m);
  assert.match(out, /^Considered: +openbao-sealed: It names OpenBaoSealed/m);
  assert.match(out, /^Facts:\n {2}FACT +VALUE +TOOK +AGE\n {2}spire\.server\.healthy +true +12ms +1\.0s$/m);
  assert.match(out, /^ {2}✗ cooldown: /m);
  assert.match(out, /^ {2}1\. run +Give 3 unseal shares .*\[Change\]$/m);
  const data = JSON.parse((await cli('runbook', 'explain', '--alert', 'a1', '-o', 'json')).out);
  assert.equal(data.preview.readings[0].at, '2026-01-05T11:59:59.000Z');
  assert.equal((await cli('runbook', 'explain', '--alert', 'none')).code, 1);
});

test('labels say what if; a comma in quotes is no separator', async () => {
  const { out } = await cli(
    'runbook',
    'explain',
    'restart-shop',
    '--labels',
    'alertname=ShopDown',
    '--labels',
    'a="x,y",b=c',
  );
  assert.match(out, /^Alert: +ShopDown \{a="x,y", b="c"\}$/m);
  assert.match(out, /^Runbook: +restart-shop, in the mode Automatic$/m);
  assert.deepEqual(labelsOf(['alertname=A,empty=,q="say \\"hi\\""']), { alertname: 'A', empty: '', q: 'say "hi"' });
  assert.equal((await cli('runbook', 'explain', '--labels', 'nonsense')).code, 2);
  assert.equal((await cli('runbook', 'explain')).code, 2);
  assert.equal((await cli('runbook', 'explain', 'a', 'b', '--alert', 'a1')).code, 2);
});

const runbook = `apiVersion: catalyst.openova.io/v1alpha1
kind: Runbook
metadata: {name: openbao-sealed, namespace: catalyst-system}
spec:
  triggers: [{alertName: OpenBaoSealed}]
  preconditions: [{check: spire.server.healthy}]
  steps:
    - run: openbao operator unseal --auto-shamir
    - verify: openbao.status.sealed == false
`;

async function inFolder(world: string) {
  await mkdir(join(t.folder, 'runbooks'), { recursive: true });
  await writeFile(join(t.folder, 'runbooks', 'openbao-sealed.yaml'), runbook);
  await writeFile(join(t.folder, 'world.yaml'), world);
  return cli(
    'runbook',
    'explain',
    join(t.folder, 'runbooks'),
    '--given',
    'world.yaml',
    '--labels',
    'alertname=OpenBaoSealed',
  );
}

test('a world in a file is asked without a server, by the same engine', async () => {
  const acts = await inFolder('facts: {spire.server.healthy: [{value: true}]}\n');
  assert.match(acts.out, /^Verdict: +It would act\. RunStarted/m);
  assert.match(acts.out, /^ {2}spire\.server\.healthy +true +0ms +0\.0s$/m);
  const refuses = await inFolder('facts: {spire.server.healthy: [{value: false}]}\n');
  assert.match(refuses.out, /^Verdict: +It would not act\. PreconditionFalse/m);
  assert.match((await inFolder('firing: silenced\n')).out, /^Verdict: +It would not act\. Silenced/m);
  assert.match(
    (await inFolder('given: {mode: Suggest, facts: {spire.server.healthy: [{value: true}]}}\n')).out,
    /^Verdict: +It would only suggest\./m,
  );
  assert.match((await inFolder('ranBefore: 1m\n')).out, /^ {2}✗ cooldown/m);
});

test('a world that is wrong is told with its line', async () => {
  const wrong = await inFolder('facts: {}\nfireing: firing\n');
  assert.equal(wrong.code, 2);
  assert.match(wrong.err, /world\.yaml:2:1 "fireing" is not known here; did you mean "firing"\?/);
  assert.equal((await inFolder('a: [')).code, 2);
});

test('drills on the server of this folder are followed to their end', async () => {
  const { code, out, err } = await cli('drill', 'openbao-sealed');
  assert.equal(code, 0);
  assert.match(err, new RegExp(`On the sandbox at ${t.server}`));
  assert.match(
    out,
    /✗ fault +It is sealed\.\n.*✓ verification +It is open\.\n\nopenbao-sealed passed in 1\.0s: It was unsealed\.\n {2}time to act {2}0\.1s\n$/,
  );
  assert.equal((await cli('drill', 'nothing')).code, 1);
  delete t.fixture.ports.drills;
  const off = await cli('drill', 'openbao-sealed');
  assert.equal(off.code, 2);
  assert.match(off.err, /No drills can be started on this server\.\n.*--sandbox --drills/);
});
