import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import { FakeOpenBao } from '../../../test/integrations/fakes/fake-openbao.ts';
import { act, actionOf, contextFor, readFact } from '../../../test/integrations/support.ts';
import { CatalystError } from '../../errors.ts';
import { createSecrets } from '../secrets.ts';
import { createOpenBao } from './index.ts';

const rightShares = ['share-one-3f9a', 'share-two-77bc', 'share-three-a1d0', 'share-four-5e5e'];
const input = { autoShamir: true };

/** Three sealed pods, three shares needed, and the shares given in a directory made like a mounted Secret. */
async function vault(shares: readonly string[] = rightShares) {
  const directory = await mkdtemp(join(tmpdir(), 'shares-'));
  await mkdir(join(directory, '..2026_01_05'));
  await Promise.all(shares.map((share, index) => writeFile(join(directory, `share-${index}`), `${share}\n`)));
  const fake = await FakeOpenBao.start(3, 3, rightShares);
  const openbao = createOpenBao(
    { addresses: fake.addresses, sharesDirectory: directory },
    { secrets: createSecrets({}) },
  );
  return {
    fake,
    openbao,
    directory,
    async [Symbol.asyncDispose]() {
      await fake[Symbol.asyncDispose]();
      await rm(directory, { recursive: true });
    },
  };
}

/** Everything a value could show, searched for anything of a share. */
function assertNoShare(value: unknown): void {
  const shown = inspect(value, { depth: 20, showHidden: true, maxStringLength: null }) + JSON.stringify(value);
  for (const share of rightShares) {
    assert.ok(!shown.includes(share), `shows ${share}`);
    assert.ok(!shown.includes(Buffer.from(share).toString('base64')), `shows ${share} in base64`);
  }
}

async function failureOf(promise: Promise<unknown>): Promise<CatalystError> {
  const error = await promise.then(
    () => assert.fail('it did not fail'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof CatalystError, String(error));
  assertNoShare(error);
  return error;
}

describe('openbao operator unseal', () => {
  it('unseals each sealed pod by itself, checks it, and shows no share', async () => {
    await using scene = await vault();
    const { fake, openbao } = scene;
    if (fake.pods[1]) fake.pods[1].sealed = false;
    const { action, before, outcome } = await act(openbao, 'openbao operator unseal', input);
    assert.deepEqual(
      fake.pods.map(({ sealed }) => sealed),
      [false, false, false],
    );
    assert.deepEqual(outcome.result, {
      unsealed: [fake.addresses[0], fake.addresses[2]],
      alreadyUnsealed: [fake.addresses[1]],
      unreachable: [],
    });
    assert.equal(action.effect(input, before), 'Change');
    const again = await action.execute(contextFor(), input, before);
    assert.match(again.sentence, /No pod of OpenBao was sealed any more/);
    const happened = await action.happened(contextFor(), input, before);
    assert.equal(happened.answer, 'yes');
    assertNoShare([before, outcome, again, happened, action.describe(input, before), fake.pods[1]?.server.requests]);
    // No more shares than are needed ever leave the process.
    assert.equal(fake.pods[0]?.server.requests.filter(({ method }) => method === 'POST').length, 3);
    assert.equal(await readFact(openbao, 'openbao.status.sealed'), false);
  });

  it('leaves somebody else alone who is unsealing, and never resets', async () => {
    await using scene = await vault();
    const { fake, openbao } = scene;
    const [pod] = fake.pods;
    assert.ok(pod);
    pod.nonce = 'theirs';
    pod.given.add('their-own-share');
    const error = await failureOf(act(openbao, 'openbao operator unseal', input));
    assert.deepEqual([error.code, error.certain, error.details.reason], ['Conflict', true, 'UnsealUnderWay']);
    assert.equal(pod.given.size, 1);
    assert.equal(pod.server.requests.filter(({ method }) => method === 'POST').length, 0);
  });

  it('stops when another person begins anew half-way', async () => {
    await using scene = await vault();
    const { fake, openbao } = scene;
    const [pod] = fake.pods;
    assert.ok(pod);
    const action = actionOf(openbao, 'openbao operator unseal');
    const before = await action.capture(contextFor(), input);
    const context = contextFor();
    const add = pod.given.add.bind(pod.given);
    pod.given.add = (share) => {
      if (pod.given.size === 1) pod.nonce = 'theirs';
      return add(share);
    };
    const error = await failureOf(action.execute(context, input, before));
    assert.deepEqual([error.code, error.certain], ['Conflict', false]);
  });

  it('goes on with what it began itself when an answer was lost', async () => {
    await using scene = await vault();
    const { fake, openbao } = scene;
    const [pod] = fake.pods;
    assert.ok(pod);
    const action = actionOf(openbao, 'openbao operator unseal');
    const before = await action.capture(contextFor(), input);
    const has = pod.given.add.bind(pod.given);
    pod.given.add = (share) => {
      const result = has(share);
      if (pod.given.size === 1) pod.next = [502, 'a page of the proxy'];
      return result;
    };
    const error = await failureOf(action.execute(contextFor(), input, before));
    assert.deepEqual([error.code, error.certain], ['UpstreamUnavailable', false]);
    assert.equal((await action.happened(contextFor(), input, before)).answer, 'no');
    pod.given.add = has;
    await action.execute(contextFor(), input, before);
    assert.deepEqual(
      fake.pods.map(({ sealed }) => sealed),
      [false, false, false],
    );
  });

  it('says that shares are wrong without saying them, even when the server does', async () => {
    await using scene = await vault(['wrong-share-1', 'wrong-share-2', 'wrong-share-3']);
    const error = await failureOf(act(scene.openbao, 'openbao operator unseal', input));
    assert.equal(error.code, 'UpstreamRefused');
    assert.match(error.message, /\[redacted\]/);
    assert.doesNotMatch(inspect(error), /wrong-share-3/);
  });

  it('refuses beforehand what cannot end well', async () => {
    await using few = await vault(rightShares.slice(0, 2));
    const error = await failureOf(act(few.openbao, 'openbao operator unseal', input));
    assert.deepEqual([error.code, error.certain], ['InvalidState', true]);
    assert.match(error.message, /2 of the 3/);
    assert.equal(await readFact(few.openbao, 'openbao.unseal.shamir.shares.available'), false);
    await assert.rejects(act(few.openbao, 'openbao operator unseal', { autoShamir: false }), { code: 'BadRequest' });
    await using other = await vault();
    for (const pod of other.fake.pods) pod.type = 'transit';
    await assert.rejects(act(other.openbao, 'openbao operator unseal', input), {
      code: 'InvalidState',
      message: /transit/,
    });
    assert.equal(await readFact(other.openbao, 'openbao.unseal.shamir.shares.available'), false);
    for (const pod of other.fake.pods) Object.assign(pod, { type: 'shamir', initialized: false });
    await assert.rejects(act(other.openbao, 'openbao operator unseal', input), {
      code: 'InvalidState',
      message: /not initialized/,
    });
  });

  it('names the pods it unsealed before it failed, and those it could not ask', async () => {
    await using scene = await vault();
    const { fake, openbao } = scene;
    const [, second, third] = fake.pods;
    assert.ok(second && third);
    second.next = [500, { errors: ['disk is full'] }];
    const error = await failureOf(act(openbao, 'openbao operator unseal', input));
    assert.deepEqual([error.certain, error.details.unsealed], [false, [fake.addresses[0]]]);
    await third.server[Symbol.asyncDispose]();
    const { outcome } = await act(openbao, 'openbao operator unseal', input);
    assert.match(outcome.sentence, /could not be asked/);
    assert.equal(await readFact(openbao, 'openbao.status.unreachablePods'), 1);
    assert.equal(await readFact(openbao, 'openbao.status.sealed'), false);
  });
});

describe('openbao facts', () => {
  it('tell sealed, active and shares, and are errors when nobody can be asked', async () => {
    await using scene = await vault();
    const { fake, openbao } = scene;
    assert.equal(await readFact(openbao, 'openbao.status.sealed'), true);
    assert.equal(await readFact(openbao, 'openbao.status.sealedPods'), 3);
    assert.equal(await readFact(openbao, 'openbao.status.initialized'), true);
    assert.equal(await readFact(openbao, 'openbao.status.version'), '2.6.0');
    assert.equal(await readFact(openbao, 'openbao.active'), false);
    assert.equal(await readFact(openbao, 'openbao.unseal.shamir.shares.available'), true);
    for (const pod of fake.pods) pod.sealed = false;
    assert.equal(await readFact(openbao, 'openbao.active'), true);
    assert.equal((await openbao.health(contextFor())).healthy, true);
    await fake[Symbol.asyncDispose]();
    assert.equal(await readFact(openbao, 'openbao.reachable'), false);
    await assert.rejects(readFact(openbao, 'openbao.status.sealed'), { code: 'UpstreamUnavailable' });
    await assert.rejects(readFact(openbao, 'openbao.active'), { code: 'UpstreamUnavailable' });
    assert.equal((await openbao.health(contextFor())).healthy, false);
  });

  it('know pods by a template, and need a configuration', async () => {
    const template = createOpenBao(
      { template: 'http://127.0.0.1:1/{ordinal}', replicas: 2 },
      { secrets: createSecrets({}) },
    );
    assert.equal(await readFact(template, 'openbao.status.unreachablePods'), 2);
    const none = createOpenBao(undefined, { secrets: createSecrets({}) });
    await assert.rejects(readFact(none, 'openbao.status.sealed'), {
      code: 'NotConfigured',
      hint: /integrations\.openbao/,
    });
    await assert.rejects(act(none, 'openbao operator unseal', input), { code: 'NotConfigured' });
  });
});
