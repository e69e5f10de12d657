import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { openPromiseFile } from './promise-file.ts';

const folder = await mkdtemp(join(tmpdir(), 'failover-promise-'));
after(() => rm(folder, { recursive: true, force: true }));
let files = 0;
const fresh = () => join(folder, `${files++}/orders`);

/** A machine whose clock is moved by hand. */
class Machine {
  id: string | undefined = 'first';
  up: number | undefined = 1_000_000;
  boot = () => this.id;
  uptime = () => this.up;
}

async function left(path: string, machine: Machine): Promise<number | undefined> {
  const file = await openPromiseFile(path, machine);
  await file.close();
  return file.remainingMs();
}

async function promised(remainingMs: number, machine: Machine): Promise<string> {
  const path = fresh();
  const file = await openPromiseFile(path, machine);
  await file.keep(remainingMs);
  await file.close();
  return path;
}

describe('the file of promises', () => {
  it('knows nothing of a promise it has never held', async () =>
    assert.equal(await left(fresh(), new Machine()), undefined));

  it('counts down by what certainly passed, to nothing', async () => {
    const machine = new Machine();
    const path = await promised(30_000, machine);
    assert.equal(await left(path, machine), 30_000);
    machine.up = 1_012_000;
    assert.equal(await left(path, machine), 18_010);
    machine.up = 1_100_000;
    assert.equal(await left(path, machine), 0);
  });

  it('counts in full after a boot, on another machine, and where the system does not tell', async () => {
    const machine = new Machine();
    const path = await promised(30_000, machine);
    for (const [id, up] of [
      ['second', 5_000],
      ['second', 9_000_000],
      ['first', 5_000],
      ['first', undefined],
      [undefined, 1_100_000],
    ] as const) {
      Object.assign(machine, { id, up });
      assert.equal(await left(path, machine), 30_000, `${id} ${up}`);
    }
    const silent = new Machine();
    silent.id = undefined;
    assert.equal(await left(await promised(30_000, silent), silent), 30_000);
  });

  it('holds the last of several, whatever was asked at once', async () => {
    const path = fresh();
    const machine = new Machine();
    const file = await openPromiseFile(path, machine);
    await Promise.all([file.keep(1_000), file.keep(20_000), file.keep(30_000)]);
    await file.close();
    assert.equal(await left(path, machine), 30_000);
    assert.equal((await stat(path)).size, 512);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
  });

  it('knows nothing of one that is half written or changed', async () => {
    const machine = new Machine();
    const path = await promised(30_000, machine);
    const whole = await readFile(path, 'utf8');
    for (const wrong of [whole.slice(0, 80), whole.replace('30000', '30'), '', '{}', 'x'.repeat(600)]) {
      await writeFile(path, wrong);
      assert.equal(await left(path, machine), undefined, wrong.slice(0, 40));
    }
  });

  it('says so when it cannot be kept', async () => {
    const path = fresh();
    const file = await openPromiseFile(path, new Machine());
    await file.close();
    await assert.rejects(file.keep(30_000));
    await assert.rejects(openPromiseFile(join(path, 'below'), new Machine()), /cannot be kept/);
  });
});
