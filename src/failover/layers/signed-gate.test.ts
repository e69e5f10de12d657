import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '../../clock.ts';
import { type Door, openDoor } from '../door.ts';
import { Gate } from './gate.ts';
import { gateKeysOf, gateSignatureHeader, isSignedGateAnswer, signGateAnswer } from './gate-answer.ts';
import { type Sidecar, startSidecar } from './gate-sidecar.ts';

const key = 'the-key-of-the-group-orders-0123456789';
const other = 'a-key-of-somebody-else-012345678901234';
const any = { host: '127.0.0.1', port: 0 };

interface Answer {
  status: number;
  body: string;
  signature: string | null;
}

describe('a gate that knows its controller by a key', () => {
  /** What the sidecar counts by, and the real controller's door with one gate behind it. */
  let offset = 0;
  const elapsed = () => performance.now() + offset;
  const gate = new Gate('orders', elapsed);
  let controllerKeys: readonly string[] = [key];
  let sidecarKeys: readonly string[] = [key];
  let door: Door;
  let sidecar: Sidecar;
  const refused: string[] = [];
  /** What the way between the two makes of an answer; undefined hands it on as it is. */
  let onTheWay: ((answer: Answer, path: string) => Promise<Answer> | Answer) | undefined;
  let asked = 0;

  const fetched = async (path: string): Promise<Answer> => {
    const response = await fetch(`${door.url}${path}`);
    return {
      status: response.status,
      body: await response.text(),
      signature: response.headers.get(gateSignatureHeader),
    };
  };

  const way = createServer(async (request, response) => {
    const path = request.url ?? '';
    const straight = await fetched(path);
    const { status, body, signature } = (await onTheWay?.(straight, path)) ?? straight;
    asked += 1;
    response.writeHead(status, signature === null ? {} : { [gateSignatureHeader]: signature }).end(body);
  });

  before(async () => {
    door = await openDoor(any, {
      tokens: [],
      gate: (group) => (group === 'orders' ? gate.read() : undefined),
      gateKeys: async () => controllerKeys,
      metrics: async () => '',
      metricsContentType: '',
      read: () => undefined,
      command: async () => undefined,
    });
    await new Promise<void>((resolve) => way.listen(0, '127.0.0.1', resolve));
    sidecar = await startSidecar({
      group: 'orders',
      controller: `http://127.0.0.1:${(way.address() as AddressInfo).port}`,
      layer: 'stateful',
      keys: async () => sidecarKeys,
      listen: any,
      forward: [],
      elapsed,
      clock: systemClock,
      onRefused: (why) => refused.push(why),
    });
  });
  after(async () => {
    await sidecar.stop();
    way.closeAllConnections();
    way.close();
    await door.close();
  });

  /** Two whole questions from now on, so that the second began after whatever was changed before. */
  async function rounds(): Promise<void> {
    const enough = asked + 2;
    const limit = performance.now() + 20_000;
    while (asked < enough) {
      assert.ok(performance.now() < limit, 'the controller is not asked any more');
      await systemClock.sleep(20);
    }
  }
  async function isOpen(open: boolean): Promise<void> {
    const limit = performance.now() + 20_000;
    while (sidecar.read().open !== open) {
      assert.ok(performance.now() < limit, `it is ${sidecar.read().sentence}; ${refused.at(-1)}`);
      await systemClock.sleep(20);
    }
  }
  /** Shut, and the deadline of whatever it was told before is over. */
  async function shut(): Promise<void> {
    onTheWay = undefined;
    controllerKeys = [key];
    sidecarKeys = [key];
    gate.shut(1, 'the test says so');
    // Until an answer was believed again.
    await rounds();
    await isOpen(false);
    refused.length = 0;
  }
  const openAtController = () => gate.extend(1, elapsed() + 60_000, elapsed());

  it('opens on an answer signed for its question', async () => {
    openAtController();
    await isOpen(true);
    await shut();
  });

  it('stays shut on answers without a signature, by another key, and changed on the way', async () => {
    const wrongs: [string, NonNullable<typeof onTheWay>][] = [
      ['none', (answer) => ({ ...answer, signature: null })],
      ['no hash', (answer) => ({ ...answer, signature: 'x'.repeat(64) })],
      [
        'another key',
        (answer, path) => {
          const nonce = new URL(path, 'http://x').searchParams.get('nonce') ?? '';
          return { ...answer, signature: signGateAnswer(other, 'stateful', nonce, answer.body) };
        },
      ],
      ['changed', (answer) => ({ ...answer, body: answer.body.replace('"remainingMs":5', '"remainingMs":35') })],
    ];
    for (const [what, wrong] of wrongs) {
      await shut();
      onTheWay = wrong;
      openAtController();
      await rounds();
      assert.equal(sidecar.read().open, false, what);
      assert.match(refused.join(), /not signed/, what);
    }
    await shut();
  });

  it('stays shut on an answer to an earlier question, and on one about another gate', async () => {
    let kept: Answer | undefined;
    openAtController();
    onTheWay = (answer) => {
      kept ??= answer;
      return answer;
    };
    await isOpen(true);
    await shut();
    const replayed = kept as Answer;
    assert.match(replayed.body, /"open":true/);
    onTheWay = () => replayed;
    await rounds();
    assert.equal(sidecar.read().open, false);

    await shut();
    onTheWay = (_answer, path) => fetched(path.replace('/stateful', '/traffic'));
    openAtController();
    await rounds();
    assert.equal(sidecar.read().open, false);
    await shut();
  });

  it('counts a late answer from its question: what had run out on the way opens nothing', async () => {
    await shut();
    onTheWay = (answer) => {
      // Everything it grants passes while it is under way.
      if (/"open":true/.test(answer.body)) offset += 61_000;
      return answer;
    };
    openAtController();
    await rounds();
    assert.equal(sidecar.read().open, false);
    await shut();
  });

  it('takes no answer that has no end', async () => {
    await shut();
    onTheWay = (answer) => ({ ...answer, body: `${answer.body}${' '.repeat(5_000)}` });
    openAtController();
    await rounds();
    assert.equal(sidecar.read().open, false);
    assert.match(refused.join(), /too long/);
    await shut();
  });

  it('shuts at its own deadline when nothing it can believe comes any more', async () => {
    openAtController();
    await isOpen(true);
    onTheWay = (answer) => ({ ...answer, signature: null });
    await rounds();
    assert.equal(sidecar.read().open, true, 'an answer that is not believed does not shut it either');
    offset += 61_000;
    assert.equal(sidecar.read().open, false);
    await shut();
  });

  it('has its key replaced without being shut', async () => {
    openAtController();
    await isOpen(true);
    for (const [controllerHas, sidecarHas] of [
      [[key], [key, other]],
      [
        [other, key],
        [key, other],
      ],
      [[other], [other]],
    ]) {
      controllerKeys = controllerHas ?? [];
      sidecarKeys = sidecarHas ?? [];
      refused.length = 0;
      await rounds();
      await rounds();
      assert.equal(sidecar.read().open, true);
      assert.deepEqual(refused.slice(1), [], 'at most the answer under way');
    }
    await shut();
  });
});

describe('keys of gates', () => {
  it('are lines of at least 32 characters, and never said', () => {
    assert.deepEqual(gateKeysOf(`${key}\n\n  ${other}\r\n`), [key, other]);
    for (const wrong of ['', '\n', `${key}\nshort-secret`])
      assert.throws(
        () => gateKeysOf(wrong),
        (error: Error) => /at least 32/.test(error.message) && !/short-secret/.test(error.message),
      );
  });

  it('sign one question of one gate', () => {
    const asked = { layer: 'traffic', nonce: 'n'.repeat(22) } as const;
    const signature = signGateAnswer(key, asked.layer, asked.nonce, '{}');
    assert.equal(isSignedGateAnswer([other, key], asked, '{}', signature), true);
    assert.equal(isSignedGateAnswer([other], asked, '{}', signature), false);
    assert.equal(isSignedGateAnswer([key], { ...asked, layer: 'mesh' }, '{}', signature), false);
    assert.equal(isSignedGateAnswer([key], { ...asked, nonce: 'm'.repeat(22) }, '{}', signature), false);
    assert.equal(isSignedGateAnswer([key], asked, '{ }', signature), false);
    assert.equal(isSignedGateAnswer([], asked, '{}', signature), false);
  });
});
