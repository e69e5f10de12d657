import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { findNetworks, findSmallDisks, startNetworks, startSmallDisk } from './namespaces.ts';
import { type Availability, startServer, waitUntil } from './process.ts';

const run = promisify(execFile);

/** A kernel that allows no namespaces is not for `install.sh` to mend: skipped with its reason, in CI as well. */
const skip = (found: Availability) => (found.available ? false : found.reason);

describe('networks', { skip: skip(findNetworks()) }, () => {
  test('a cable carries both ways, one way, and not at all', async (t) => {
    const net = await startNetworks(['here', 'there', 'third']);
    t.after(() => net.stop());
    // Writes down what it is told, and answers, whether or not that arrives.
    const program = `const s = require('node:dgram').createSocket('udp4');
      s.on('message', (word, { address, port }) => { console.log('heard ' + word); s.send('yes', port, address); });
      s.bind(53);`;
    const listener = (place: 'here' | 'there') =>
      startServer({ name: place, enter: net.enter(place), program: process.execPath, args: ['-e', program] });
    const servers = { here: listener('here'), there: listener('there') };
    t.after(() => Promise.all(Object.values(servers).map((server) => server.stop())));
    /** Says a word until an answer comes, for a while; whether one came. */
    const ask = async (from: 'here' | 'there', to: 'here' | 'there', word: string): Promise<boolean> => {
      const script = `const s = require('node:dgram').createSocket('udp4');
        const say = () => s.send('${word}', 53, '${net.address(from, to)}', () => {});
        say(); setInterval(say, 100); s.on('message', () => { console.log('yes'); process.exit(); });
        setTimeout(() => process.exit(), 1500);`;
      const [command = '', ...args] = [...net.enter(from), process.execPath, '-e', script];
      return (await run(command, args)).stdout.includes('yes');
    };
    const heard = (place: 'here' | 'there', word: string) => servers[place].logs().includes(`heard ${word}`);
    await waitUntil('the cable carries', 30_000, () => ask('here', 'there', 'hello'));
    assert.ok(await ask('there', 'here', 'hello'));

    net.lose('there', 'here');
    assert.equal(await ask('here', 'there', 'question'), false);
    assert.ok(heard('there', 'question'), 'the question arrives, its answer does not');
    assert.equal(await ask('there', 'here', 'other question'), false);
    assert.equal(heard('here', 'other question'), false);
    net.mend('here', 'there');
    await waitUntil('the cable carries', 30_000, () => ask('here', 'there', 'again'));

    net.unplug('here', 'there');
    assert.equal(await ask('there', 'here', 'nobody'), false);
    assert.equal(heard('here', 'nobody'), false);
    net.mend('here', 'there');
    await waitUntil('the cable carries', 30_000, () => ask('there', 'here', 'back'));
  });
});

describe('small disks', { skip: skip(findSmallDisks()) }, () => {
  test('a disk is full when its bytes are written, and has room again when they are gone', async (t) => {
    const disk = await startSmallDisk(64 * 1024);
    t.after(() => disk.stop());
    const file = join(disk.outside, 'file');
    assert.throws(() => writeFileSync(file, Buffer.alloc(128 * 1024)), /ENOSPC/);
    assert.equal(statSync(file).size, 64 * 1024);
    rmSync(file);
    const [command = '', ...args] = [...disk.enter, 'touch', join(disk.path, 'inside')];
    await run(command, args);
    assert.deepEqual(readdirSync(disk.outside), ['inside']);
    assert.deepEqual(readdirSync(disk.path), [], 'nobody else sees it');
  });
});
