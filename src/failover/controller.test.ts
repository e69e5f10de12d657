import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { systemClock } from '../clock.ts';
import { createLog } from '../telemetry/log.ts';
import { type Controller, type ControllerOptions, startController } from './controller.ts';
import { createState, step } from './failover-decision.ts';
import type { GroupDeclaration } from './group-settings.ts';
import type { Lease } from './lease.ts';
import { openPromiseFile } from './promise-file.ts';
import type { Delay } from './readiness-decision.ts';
import { openRecordFile, verifyRecordFile } from './record-file.ts';
import type { Witness } from './witness/witness.ts';

const folder = await mkdtemp(join(tmpdir(), 'failover-controller-'));
after(() => rm(folder, { recursive: true, force: true }));

/** A witness in this process, that can be cut off for a region. */
class MemoryWitness {
  lease: Lease | undefined;
  writtenAt = 0;
  readonly cut = new Set<string>();

  for(region: string): Witness {
    const reach = () => {
      if (this.cut.has(region)) throw new Error('unreachable');
    };
    return {
      name: 'memory',
      read: async () => {
        reach();
        const expired = this.lease ? performance.now() - this.writtenAt >= this.lease.ttlMs : undefined;
        return { lease: this.lease, expired };
      },
      compareAndSet: async (_group, expect, next) => {
        reach();
        if (this.lease?.epoch !== expect?.epoch || this.lease?.seq !== expect?.seq)
          return { result: 'conflict', current: this.lease };
        this.lease = next;
        this.writtenAt = performance.now();
        return { result: 'applied' };
      },
      close: async () => {},
    };
  }
}

const [a, b] = ['hz-fsn-rtz-prod', 'hz-hel-rtz-prod'];
const token = 'a-token-of-thirty-letters-or-so';

function group(
  mode: 'Automatic' | 'SemiAutomatic' | 'Manual',
  // Its lag is known to nobody: by itself nobody takes it over.
  components: GroupDeclaration['spec']['components'] = mode === 'Automatic'
    ? []
    : [{ name: 'objects', adapter: 'MinIO' }],
): GroupDeclaration {
  return {
    name: 'orders',
    spec: {
      mode,
      components,
      regions: [a, b],
      witnesses: ['memory'],
      dnsFallback: 'hold',
      minimumDwell: '0s',
      timings: {
        ...{
          ttl: '3s',
          renew: '600ms',
          retry: '200ms',
          softLimit: '1400ms',
          fenceBudget: '700ms',
          hardLimit: '2100ms',
        },
        ...{ wait: '3s', promise: '3s', poll: '200ms' },
      },
    },
  };
}

let files = 0;
/** What a test ends with: its controllers stop, side by side. */
const stopAll = (controllers: ReadonlySet<Controller>) =>
  Promise.all([...controllers].map((controller) => controller.stop('the test is over')));

async function region(
  name: string,
  witness: MemoryWitness,
  mode: Parameters<typeof group>[0],
  running: Set<Controller>,
  components?: GroupDeclaration['spec']['components'],
  peerReadiness?: ControllerOptions['peerReadiness'],
) {
  const path = join(folder, `${files++}.jsonl`);
  const controller = await startController({
    region: name,
    version: '0.0.0',
    listen: { host: '127.0.0.1', port: 0 },
    groups: [group(mode, components)],
    remark: () => undefined,
    gateKeys: async () => undefined,
    checkers: [],
    peerReadiness,
    lookAtCaching: undefined,
    tokens: [
      { name: 'anna', secret: token },
      { name: 'ben', secret: `${token}-ben` },
    ],
    protocol: { initial: createState, step },
    witnesses: [witness.for(name)],
    checkWitness: async () => [],
    resolvers: [],
    probe: undefined,
    send: undefined,
    layers: {
      kubernetes: () => assert.fail('no cluster here'),
      prometheus: undefined,
      password: () => undefined,
    },
    record: await openRecordFile(path, () => Date.now()),
    promises: (name) => openPromiseFile(`${path}.${name}.promise`),
    elapsed: () => performance.now(),
    clock: systemClock,
    log: createLog({ level: 'info', stream: { write: (line: string) => void said.push(line.trim()) } }),
  });
  running.add(controller);
  return { controller, path };
}

const gateOf = async (controller: Controller) => (await fetch(`${controller.url}/gate/orders`)).status === 200;
const groupOf = (controller: Controller) => controller.status().groups[0];

/** A takeover takes some four seconds with these times. */
const limitMs = 30_000;
/** What both controllers said, for the message of a failure. */
const said: string[] = [];

async function until(what: string, look: () => Promise<boolean> | boolean): Promise<void> {
  const limit = performance.now() + limitMs;
  while (!(await look())) {
    if (performance.now() > limit)
      assert.fail(`not within ${limitMs / 1000} s: ${what}\n${said.slice(-20).join('\n')}`);
    await systemClock.sleep(50);
  }
}

const command = (controller: Controller, verb: string, body: object, secret = token) =>
  fetch(`${controller.url}/api/v1/failover/groups/orders/${verb}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${secret}` },
    body: JSON.stringify(body),
  });

// What they do is wait: side by side they take as long as one.
describe('two controllers and a witness', { concurrency: true }, () => {
  it('one is active; a planned switchover moves it; an isolated active fences, and the other takes over', async (t) => {
    const running = new Set<Controller>();
    t.after(() => stopAll(running));
    const witness = new MemoryWitness();
    const one = await region(a, witness, 'Automatic', running);
    const two = await region(b, witness, 'Automatic', running);
    await until('the first region is active', () => gateOf(one.controller));
    assert.equal(await gateOf(two.controller), false);
    await until('the second region knows it', () => groupOf(two.controller)?.reason === 'PeerActive');

    assert.equal((await command(two.controller, 'switchover', { reason: 'a test' })).status, 409);
    assert.equal((await command(one.controller, 'switchover', { reason: '' })).status, 400);
    assert.equal((await command(one.controller, 'switchover', { reason: 'a test' }, 'wrong')).status, 401);
    await until('the switchover is taken', async () => {
      return (await command(one.controller, 'switchover', { reason: 'a test' })).status === 202;
    });
    await until('the second region is active', () => gateOf(two.controller));
    assert.equal(await gateOf(one.controller), false);
    assert.equal(witness.lease?.holder, b);

    witness.cut.add(b);
    await until('the isolated region fences', async () => !(await gateOf(two.controller)));
    await until('the first region takes over', () => gateOf(one.controller));
    assert.equal(await gateOf(two.controller), false);
    witness.cut.delete(b);
    await until('the second region follows', () => groupOf(two.controller)?.reason === 'PeerActive');
    const metrics = await (await fetch(`${one.controller.url}/metrics`)).text();
    assert.match(metrics, /failover_active\{group="orders"\} 1/);
    assert.match(metrics, /failover_lease_epoch\{group="orders"\} [3-9]/);
    assert.doesNotMatch(metrics, /catalyst_sre_runs_total/);

    await one.controller.stop('the test is over');
    // Given back; the other region may have taken it by now.
    assert.notEqual(witness.lease?.holder, a);
    running.delete(one.controller);
    for (const { path } of [one, two]) assert.equal((await verifyRecordFile(path)).intact, true);
  });

  it('a switchover to a region that has just started is refused, with how long to wait, and then taken', async (t) => {
    const running = new Set<Controller>();
    t.after(() => stopAll(running));
    const witness = new MemoryWitness();
    let answer: (epoch: number) => Delay | 'ready' | undefined = () => undefined;
    const one = await region(a, witness, 'Automatic', running, undefined, async (_group, epoch) => {
      const heard = answer(epoch);
      return heard ?? assert.fail('nobody answers');
    });
    await until('the first region is active', () => gateOf(one.controller));
    await until('its checks have run', () => (groupOf(one.controller)?.checks ?? 0) > 0);
    const two = await region(b, witness, 'Automatic', running);
    // What it says at its start, however slow this machine is.
    const atStart = two.controller.delayOf('orders', groupOf(one.controller)?.epoch ?? 0);
    answer = () => atStart;
    const refused = await command(one.controller, 'switchover', { reason: 'a test' });
    assert.equal(refused.status, 409);
    const started = `${b} has just started, and what it may have promised before binds it. Ask again in [1-3] s.`;
    assert.match(await refused.text(), new RegExp(started));
    assert.equal(await gateOf(one.controller), true);

    answer = (epoch) => two.controller.delayOf('orders', epoch);
    await until('the switchover is taken', async () => {
      return (await command(one.controller, 'switchover', { reason: 'a test' })).status === 202;
    });
    await until('the second region is active', () => gateOf(two.controller));
  });

  for (const [mode, people] of [
    ['SemiAutomatic', [[token, 202]]],
    [
      'Manual',
      [
        [token, 202],
        // The same person again is not a second one.
        [token, 409],
        [`${token}-ben`, 202],
      ],
    ],
  ] as const)
    it(`a takeover in mode ${mode} waits for ${mode === 'Manual' ? 'two people' : 'one approval'}`, async (t) => {
      const running = new Set<Controller>();
      const witness = new MemoryWitness();
      t.after(() => {
        // A region that cannot reach the witness waits for it before it stops.
        witness.cut.delete(a);
        return stopAll(running);
      });
      const one = await region(a, witness, mode, running);
      const two = await region(b, witness, mode, running);
      await until('the first region is active', () => gateOf(one.controller));
      witness.cut.add(a);
      await until('a takeover is proposed', () => groupOf(two.controller)?.proposal != null);
      const id = groupOf(two.controller)?.proposal?.id;
      assert.equal((await command(two.controller, 'approve', { proposal: 'other', reason: 'it is down' })).status, 409);
      for (const [secret, answer] of people) {
        assert.equal(await gateOf(two.controller), false);
        const body = { proposal: id, reason: 'it is down', acceptLoss: true, force: 'I called the data centre' };
        assert.equal((await command(two.controller, 'approve', body, secret)).status, answer);
      }
      await until('the second region takes over', () => gateOf(two.controller));
      assert.equal(await gateOf(one.controller), false);
    });

  it('a takeover keeps its gates shut until a person confirms what no API can do', async (t) => {
    const running = new Set<Controller>();
    const witness = new MemoryWitness();
    t.after(() => {
      witness.cut.delete(a);
      return stopAll(running);
    });
    const components = [{ name: 'vectors', adapter: 'Milvus' as const }];
    const one = await region(a, witness, 'SemiAutomatic', running, components);
    const two = await region(b, witness, 'SemiAutomatic', running, components);
    // Where the group begins nothing has to be moved.
    await until('the first region is active', () => gateOf(one.controller));
    const confirm = (body: object) => command(two.controller, 'confirm', body);
    const right = { component: 'vectors', reason: 'force_promote ran' };
    assert.equal((await confirm(right)).status, 409);

    witness.cut.add(a);
    await until('a takeover is proposed', () => groupOf(two.controller)?.proposal != null);
    const consent = { reason: 'it is down', acceptLoss: true, force: 'I called the data centre' };
    assert.equal((await command(two.controller, 'approve', consent)).status, 202);
    await until('the plan waits', () =>
      (groupOf(two.controller)?.problems ?? []).some((problem) =>
        /vectors waits for a person: .*force_promote=True.*failover confirm orders --component vectors/.test(problem),
      ),
    );
    await until('and says so', () => groupOf(two.controller)?.reason === 'ActivationStuck');
    assert.equal(await gateOf(two.controller), false);
    assert.equal((await confirm({ ...right, component: 'other' })).status, 409);
    assert.equal((await confirm({ component: 'vectors' })).status, 400);
    assert.equal((await confirm(right)).status, 202);
    await until('the second region opens', () => gateOf(two.controller));
    assert.deepEqual(groupOf(two.controller)?.problems, []);
    const entry = (await readFile(two.path, 'utf8')).split('\n').find((line) => line.includes('"confirmed"'));
    assert.match(entry ?? '', /token\/anna has seen to vectors: force_promote ran/);
  });
});
