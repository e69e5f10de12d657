import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';

const root = resolve(import.meta.dirname, '..');
const house = await mkdtemp(join(tmpdir(), 'fences-'));
after(() => rm(house, { recursive: true, force: true }));

/** Runs the project's own fences over a house of two files, the first importing the second. */
async function cruise(from: string, to: string): Promise<string> {
  for (const folder of ['src', 'console']) await rm(join(house, folder), { recursive: true, force: true });
  for (const [file, text] of [
    [from, `import { x } from '${relativeTo(from, to)}';\nexport const y = x;\n`],
    [to, 'export const x = 1;\n'],
  ] as const) {
    await mkdir(dirname(join(house, file)), { recursive: true });
    await writeFile(join(house, file), text);
  }
  for (const config of ['.dependency-cruiser.cjs', 'tsconfig.json']) await cp(join(root, config), join(house, config));
  await symlink(join(root, 'node_modules'), join(house, 'node_modules')).catch(() => {});
  const run = promisify(execFile);
  const args = [
    join(root, 'node_modules/dependency-cruiser/bin/dependency-cruiser.mjs'),
    '--config',
    '.dependency-cruiser.cjs',
    dirname(from),
  ];
  return run(process.execPath, args, { cwd: house }).then(
    ({ stdout }) => stdout,
    (error: { stdout: string }) => error.stdout,
  );
}

function relativeTo(from: string, to: string): string {
  return `${'../'.repeat(from.split('/').length - 1)}${to}`;
}

/** Without this, a fence that reads no file at all would look as green as one that holds. */
const caught: [string, string, string][] = [
  ['src/alert/a.ts', 'src/run/b.ts', 'alert-knows-too-much'],
  ['src/guard/a.ts', 'src/run/b.ts', 'guard-knows-too-much'],
  ['src/catalog/a.ts', 'src/incident/b.ts', 'catalog-knows-too-much'],
  ['src/database/a.ts', 'src/alert/b.ts', 'database-knows-too-much'],
  ['src/failover/a.ts', 'src/run/b.ts', 'failover-knows-too-much'],
  ['src/run/a.ts', 'src/integrations/kubernetes/b.ts', 'run-knows-too-much'],
  ['src/failover/witness/a.ts', 'src/database/b.ts', 'failover-knows-too-much'],
  ['src/integrations/http/a.ts', 'src/incident/b.ts', 'integrations-know-no-room'],
  ['src/api/a.ts', 'src/integrations/openbao/b.ts', 'doors-go-through-services'],
  ['src/run/a-decision.ts', 'src/run/b-store.ts', 'decisions-are-pure'],
  ['src/run/a.ts', 'src/app/b.ts', 'only-the-root-wires'],
  ['src/api/a.ts', 'console/src/b.ts', 'server-knows-no-console'],
  ['console/src/a.ts', 'src/api/b.ts', 'console-knows-the-api-only'],
];

for (const [from, to, rule] of caught) {
  test(`the fence ${rule} catches ${from} importing ${to}`, async () => {
    assert.match(await cruise(from, to), new RegExp(`error ${rule}: `));
  });
}

test('the fences let the flow pass', async () => {
  assert.match(await cruise('src/run/a.ts', 'src/incident/b.ts'), /no dependency violations found \(2 modules/);
});
