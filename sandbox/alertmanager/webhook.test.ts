import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { VirtualClock } from '../../src/clock.ts';
import { advanceUntil } from '../advance.ts';
import { type Call, type Listening, listen, sendText } from '../http.ts';
import { paceFor } from '../pace.ts';
import { Alertmanager, reasonFor } from './alertmanager.ts';
import { fingerprint } from './matchers.ts';
import { webhookBody } from './webhook.ts';

interface Delivery {
  headers: Call['headers'];
  body: {
    status: string;
    notification_reason: string;
    alerts: { status: string; labels: Record<string, string>; startsAt: string; endsAt: string; fingerprint: string }[];
    [field: string]: unknown;
  };
}

describe('notifications', () => {
  let clock: VirtualClock;
  let manager: Alertmanager;
  let receiver: Listening;
  let deliveries: Delivery[];
  let answers: number[];

  beforeEach(async () => {
    clock = new VirtualClock();
    manager = new Alertmanager(clock, paceFor());
    deliveries = [];
    answers = [];
    receiver = await listen({
      host: '127.0.0.1',
      port: 0,
      handle: (call) => {
        deliveries.push({ headers: call.headers, body: JSON.parse(call.body) });
        return sendText(call, answers.shift() ?? 200);
      },
      fail: (call, status) => sendText(call, status),
    });
    manager.webhook = { url: `${receiver.url}/hook`, token: 'the-token' };
    manager.externalUrl = 'http://alertmanager.example';
  });
  afterEach(async () => {
    await manager.stop();
    await receiver.close();
  });

  const fire = (pod: string, more: { endsAt?: string; severity?: string } = {}) =>
    manager.receive([
      {
        labels: { alertname: 'OpenBaoSealed', namespace: 'openbao', pod, severity: more.severity ?? 'critical' },
        annotations: { summary: `${pod} is sealed` },
        generatorURL: 'http://prometheus.example/graph?g0.expr=x&g0.tab=1',
        startsAt: new Date(clock.now()).toISOString(),
        endsAt: more.endsAt ?? new Date(clock.now() + 3_600_000).toISOString(),
      },
    ]);
  const resolve = (pod: string) => fire(pod, { endsAt: new Date(clock.now()).toISOString() });
  const until = (count: number, limitMs = 30_000) =>
    advanceUntil(
      clock,
      `${count} deliveries`,
      async () => {
        manager.tick();
        return deliveries.length >= count;
      },
      { limitMs },
    );
  const live = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 100) {
      await clock.advance(100);
      manager.tick();
      await manager.idle();
    }
  };

  it('waits for a group, then sends exactly version 4', async () => {
    fire('openbao-1');
    const startsAt = new Date(clock.now()).toISOString();
    fire('openbao-0');
    const took = await until(1);
    assert.ok(took >= 500, `sent after ${took} ms`);
    await manager.idle();
    const [{ headers, body } = assert.fail()] = deliveries;
    assert.equal(headers.authorization, 'Bearer the-token');
    assert.equal(headers['content-type'], 'application/json');
    assert.match(headers['user-agent'] ?? '', /^Alertmanager\//);
    const labels = (pod: string) => ({ alertname: 'OpenBaoSealed', namespace: 'openbao', pod, severity: 'critical' });
    const one = (pod: string) => ({
      status: 'firing',
      labels: labels(pod),
      annotations: { summary: `${pod} is sealed` },
      startsAt,
      endsAt: '0001-01-01T00:00:00Z',
      generatorURL: 'http://prometheus.example/graph?g0.expr=x&g0.tab=1',
      fingerprint: fingerprint(labels(pod)),
    });
    assert.deepEqual(body, {
      version: '4',
      groupKey: '{}:{alertname="OpenBaoSealed", namespace="openbao"}',
      truncatedAlerts: 0,
      receiver: 'catalyst-sre',
      status: 'firing',
      alerts: [one('openbao-0'), one('openbao-1')],
      notification_reason: 'first notification',
      groupLabels: { alertname: 'OpenBaoSealed', namespace: 'openbao' },
      commonLabels: { alertname: 'OpenBaoSealed', namespace: 'openbao', severity: 'critical' },
      commonAnnotations: {},
      routeLabels: {},
      externalURL: 'http://alertmanager.example',
    });
  });

  it('tells of new alerts, of some resolved, of all resolved, and then no more', async () => {
    fire('openbao-0');
    await until(1);
    fire('openbao-1');
    await until(2);
    resolve('openbao-0');
    await until(3);
    const mixed = deliveries[2]?.body;
    assert.equal(mixed?.status, 'firing');
    assert.deepEqual(
      mixed?.alerts.map(({ labels, status }) => [labels.pod, status]),
      [
        ['openbao-0', 'resolved'],
        ['openbao-1', 'firing'],
      ],
    );
    resolve('openbao-1');
    await until(4);
    await live(10_000);
    assert.deepEqual(
      deliveries.map(({ body }) => [body.status, body.notification_reason]),
      [
        ['firing', 'first notification'],
        ['firing', 'new alerts added'],
        ['firing', 'some alerts resolved'],
        ['resolved', 'all alerts resolved'],
      ],
    );
    assert.deepEqual(manager.groups(), []);
  });

  it('repeats what goes on, after the repeat interval', async () => {
    fire('openbao-0');
    await until(1);
    const took = await until(2, 400_000);
    assert.ok(took >= 300_000, `repeated after ${took} ms`);
    assert.equal(deliveries[1]?.body.notification_reason, 'repeat interval elapsed');
  });

  it('tries again after a 5xx with the same snapshot', async () => {
    answers = [503, 500];
    fire('openbao-0');
    await until(1);
    fire('openbao-1');
    await until(3);
    assert.deepEqual(
      deliveries.slice(0, 3).map(({ body }) => body.alerts.length),
      [1, 1, 1],
    );
    await until(4);
    assert.equal(deliveries[3]?.body.alerts.length, 2);
  });

  it('does not try again after a 4xx, but tells at the next flush while the alert goes on', async () => {
    answers = [429];
    fire('openbao-0');
    await until(1);
    const took = await until(2);
    assert.ok(took >= 900, `next flush after ${took} ms`);
    assert.equal(deliveries[1]?.body.notification_reason, 'first notification');
  });

  it('never tells of an alert that was refused and is over', async () => {
    answers = [400];
    fire('openbao-0');
    await until(1);
    await manager.idle();
    resolve('openbao-0');
    await live(5_000);
    assert.equal(deliveries.length, 1);
  });

  it('holds back what is silenced, its end too', async () => {
    fire('openbao-0');
    await until(1);
    manager.silences.set({
      matchers: [{ name: 'pod', value: 'openbao-0', isRegex: false, isEqual: true }],
      startsAt: clock.now(),
      endsAt: clock.now() + 3_600_000,
      createdBy: 'test',
      comment: 'quiet',
      annotations: {},
    });
    resolve('openbao-0');
    fire('openbao-2');
    await until(2);
    assert.deepEqual(
      deliveries[1]?.body.alerts.map(({ labels }) => labels.pod),
      ['openbao-2'],
    );
    await live(5_000);
    assert.equal(deliveries.length, 2);
  });

  it('does not tell of what begins and ends within the group wait', async () => {
    fire('openbao-0');
    await clock.advance(200);
    resolve('openbao-0');
    await live(5_000);
    assert.equal(deliveries.length, 0);
  });
});

describe('the reason of a notification', () => {
  const told = (firing: string[], resolved: string[], at = 0) => ({
    firing: new Set(firing),
    resolved: new Set(resolved),
    at,
  });

  it('follows the rules of the notification log', () => {
    assert.equal(reasonFor(undefined, told([], ['a']), 100), 'none');
    assert.equal(reasonFor(undefined, told(['a'], []), 100), 'first notification');
    assert.equal(reasonFor(told(['a'], []), told(['a'], [], 50), 100), 'none');
    assert.equal(reasonFor(told(['a'], []), told(['a'], [], 100), 100), 'repeat interval elapsed');
    assert.equal(reasonFor(told(['a'], []), told(['b'], []), 100), 'new alerts added');
    assert.equal(reasonFor(told(['a', 'b'], []), told(['a'], ['b']), 100), 'some alerts resolved');
    assert.equal(reasonFor(told(['a'], []), told([], ['a']), 100), 'all alerts resolved');
  });
});

describe('the body', () => {
  it("quotes the receiver's name for regular expressions", () => {
    const body = webhookBody({ receiver: 'web.hook', groupLabels: {}, alerts: [], reason: 'none', externalURL: '' });
    assert.equal(body.receiver, 'web\\.hook');
  });
});

describe('fingerprints', () => {
  it('are those of Prometheus: FNV-1a of the sorted labels', () => {
    assert.equal(fingerprint({}), 'cbf29ce484222325', 'the offset basis of the hash itself');
    // As Alertmanager 0.25 answers for these labels, in whatever order they come.
    const labels = { severity: 'critical', alertname: 'Z', pod: 'a', namespace: 'n' };
    assert.equal(fingerprint(labels), '5b9bdcb15ebe66f9');
    assert.equal(fingerprint({ ...labels, pod: 'b' }), '908acb4dc165dc76');
  });
});
