import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, beforeEach, describe, it } from 'node:test';
import type { FailoverGroupSpec } from '../catalog/kinds/failover-group.ts';
import { VirtualClock } from '../clock.ts';
import { CatalystError } from '../errors.ts';
import type { CallContext } from '../integrations/contract.ts';
import type { KubernetesApi } from '../integrations/kubernetes/client.ts';
import type { KubernetesObject } from '../integrations/kubernetes/objects.ts';
import { type ClusterGroups, watchClusterGroups } from './cluster-groups.ts';
import { type GroupMemory, openGroupMemory } from './group-memory.ts';
import { type GroupDeclaration, groupProblems } from './group-settings.ts';

const root = await mkdtemp(join(tmpdir(), 'failover-restart-'));
after(() => rm(root, { recursive: true, force: true }));
let folders = 0;

const region = 'hz-fsn-rtz-prod';
const right: FailoverGroupSpec = { mode: 'Manual', regions: [region, 'hz-hel-rtz-prod'], witnesses: ['w'] };
const wrong: FailoverGroupSpec = { ...right, timings: { hardLimit: '29s' } };
const object = (generation: number, spec: FailoverGroupSpec, uid = 'one', name = 'orders'): KubernetesObject => ({
  metadata: { name, namespace: 'failover', uid, generation, resourceVersion: String(generation) },
  spec: { ...spec },
});

/** What the API server has; undefined while it does not answer, an error while it refuses. */
type Server = { items: KubernetesObject[] } | Error | undefined;

describe('a controller that starts again', () => {
  let folder: string;
  let server: Server;
  let clock: VirtualClock;
  let groups: ClusterGroups | undefined;
  let running: Map<string, GroupDeclaration>;
  let active: boolean;
  let witnesses: string[];
  let notes: string[];
  let written: { name: string; message: string }[];

  beforeEach(() => {
    folder = join(root, String(folders++));
    active = false;
    witnesses = ['w'];
    groups = undefined;
  });
  afterEach(() => groups?.stop());

  const ended = ({ signal }: CallContext) =>
    new Promise<void>((end) => {
      if (signal.aborted) end();
      else signal.addEventListener('abort', () => end(), { once: true });
    });
  const api = {
    list: async (context: CallContext) => {
      if (server instanceof Error) throw server;
      if (server) return { items: server.items, resourceVersion: '9' };
      await ended(context);
      throw new Error('given up');
    },
    // Nothing happens until the watch is ended.
    async *watch(context: CallContext): AsyncGenerator<string> {
      await ended(context);
      yield* [];
    },
    apply: async (_context: CallContext, { name }: { name: string }, body: { status: { conditions: unknown } }) => {
      const [ready] = body.status.conditions as { message: string }[];
      written.push({ name, message: ready?.message ?? '' });
    },
  } as unknown as KubernetesApi;

  /** One life, with the disk of those before. */
  async function start(memory?: GroupMemory): Promise<void> {
    await groups?.stop();
    clock = new VirtualClock();
    running = new Map();
    notes = [];
    written = [];
    groups = watchClusterGroups({
      ...{ api, namespace: 'failover', inFiles: new Set<string>(), clock },
      problems: (declaration) => groupProblems(declaration, region, { witnesses, resolvers: [], peer: undefined }),
      adopt: async (declaration) => {
        if (active && running.has(declaration.name)) return 'waiting';
        const before = running.get(declaration.name);
        running.set(declaration.name, declaration);
        return before ? 'changed' : 'started';
      },
      remove: async (name) => !active && (running.delete(name) || true),
      status: () => undefined,
      memory:
        memory ??
        (await openGroupMemory(
          folder,
          () => clock.now(),
          (sentence) => notes.push(sentence),
        )),
      onNote: (sentence) => notes.push(sentence),
    });
  }

  /** Lets the virtual time run until it is so. */
  async function until(what: string, so: () => boolean): Promise<void> {
    const limit = performance.now() + 20_000;
    while (!so()) {
      if (performance.now() > limit) assert.fail(`${what} never came. ${notes.join('\n')}`);
      await clock.advance(100);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  const said = (pattern: RegExp) => notes.some((note) => pattern.test(note));
  const told = (pattern: RegExp) => written.some(({ message }) => pattern.test(message));

  /** A life in which generation 1 was accepted. */
  async function acceptFirst(): Promise<void> {
    server = { items: [object(1, right)] };
    await start();
    await until('acceptance', () => told(/^Generation 1 is in use\.$/));
  }

  it('goes on with the last good object where the cluster has a wrong one now, and says so', async () => {
    await acceptFirst();
    server = { items: [object(2, wrong)] };
    await start();
    await until('the status', () => told(/L_hard.*Generation 1 is in use, accepted at 2026-01-05T.* kept on disk\./));
    assert.deepEqual(running.get('orders'), { name: 'orders', spec: right });
    assert.ok(said(/generation 1, accepted at .*, is in use from the disk/));
    assert.match(
      groups?.remark('orders') ?? '',
      /Generation 2 .* is refused: .* Generation 1, accepted at .*is in use/,
    );

    // And in the life after that, as nothing newer was accepted.
    await start();
    await until('the next life', () => running.has('orders'));
    assert.deepEqual(running.get('orders')?.spec, right);
  });

  it('takes the right object as soon as there is one, and says no more about the old', async () => {
    await acceptFirst();
    server = { items: [object(2, wrong)] };
    await start();
    await until('the old one', () => running.has('orders'));
    server = { items: [object(3, { ...right, mode: 'Automatic' })] };
    await start();
    await until('the new one', () => told(/^Generation 3 is in use\.$/));
    assert.equal(running.get('orders')?.spec.mode, 'Automatic');
    assert.equal(groups?.remark('orders'), undefined);
  });

  it('goes on while the API server refuses connections, and hears of it again', async () => {
    await acceptFirst();
    server = new CatalystError('Unavailable', 'connect ECONNREFUSED');
    await start();
    await until('the group', () => running.has('orders'));
    assert.ok(said(/has not told of FailoverGroups: orders starts as generation 1/));
    assert.match(
      groups?.remark('orders') ?? '',
      /The API server has not told .* Generation 1, accepted at .*is in use/,
    );
    assert.deepEqual(written, []);

    server = { items: [object(1, right)] };
    await until('the list', () => told(/^Generation 1 is in use\.$/));
    assert.equal(groups?.remark('orders'), undefined);
  });

  it('waits for an API server that is only slow, and not for ever', async () => {
    await acceptFirst();
    server = undefined;
    await start();
    await clock.advance(9_000);
    assert.equal(running.size, 0);
    await until('the group', () => running.has('orders'));
    assert.ok(clock.monotonic() >= 10_000);
  });

  it('ends what it went on with once the API server says that it is gone; what is active goes on', async () => {
    await acceptFirst();
    server = new CatalystError('Unavailable', 'connect ECONNREFUSED');
    await start();
    await until('the group', () => running.has('orders'));
    active = true;
    server = { items: [] };
    await until('the deletion', () => said(/orders was deleted while it is active here/));
    assert.ok(running.has('orders'));
    active = false;
    await until('the end', () => running.size === 0);

    // It is not remembered either.
    server = new CatalystError('Unavailable', 'connect ECONNREFUSED');
    await start();
    await until('the interruption', () => said(/cannot be watched/));
    await clock.advance(15_000);
    assert.equal(running.size, 0);
  });

  it('does not revive what was deleted, or made anew, while it was not there', async () => {
    await acceptFirst();
    server = { items: [object(1, wrong, 'another')] };
    await start();
    await until('the refusal', () => told(/L_hard/));
    assert.equal(running.size, 0);

    server = { items: [] };
    await start();
    await clock.advance(2_000);
    server = new CatalystError('Unavailable', 'connect ECONNREFUSED');
    await start();
    await until('the interruption', () => said(/cannot be watched/));
    await clock.advance(15_000);
    assert.equal(running.size, 0);
  });

  it('checks it again: what breaks a rule of today is not used, and both are told', async () => {
    await acceptFirst();
    witnesses = ['another'];
    server = { items: [object(2, wrong)] };
    await start();
    await until('the refusal', () =>
      said(/generation 1, accepted at .*, cannot be used any more either: .*no witness w/),
    );
    assert.equal(running.size, 0);

    server = new CatalystError('Unavailable', 'connect ECONNREFUSED');
    await start();
    await until('the refusal without a server', () => said(/orders is refused: .*no witness w/));
    assert.equal(running.size, 0);
  });

  it('tries again to keep what a full disk refused, and runs it meanwhile', async () => {
    const onDisk = await openGroupMemory(folder, () => 0, assert.fail);
    let full = true;
    server = { items: [object(1, right)] };
    await start({
      ...onDisk,
      keep: async (one) => (full ? Promise.reject(new Error('ENOSPC')) : onDisk.keep(one)),
    });
    await until('the failure', () => said(/cannot be kept for a later start: ENOSPC/));
    assert.ok(running.has('orders'));
    await clock.advance(5_000);
    assert.equal(notes.filter((note) => /ENOSPC/.test(note)).length, 1);
    full = false;
    await until('the disk', () => onDisk.get('orders') !== undefined);
  });
});
