import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fingerprintOf, fnv1a64 } from './fingerprint.ts';
import { exceedsDepth } from './nesting.ts';
import { type AlertReport, defaultPayloadLimits, parsePayload, readTime, unquoteRegexp } from './payload.ts';

const bytes = (value: unknown) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
const alert = (over: object = {}) => ({
  status: 'firing',
  labels: { alertname: 'OpenBaoSealed', namespace: 'catalyst-system' },
  annotations: { summary: 'sealed' },
  startsAt: '2026-11-02T03:04:05.678901234Z',
  endsAt: '0001-01-01T00:00:00Z',
  generatorURL: 'http://prometheus/graph?g0.expr=up',
  fingerprint: '00aa11bb22cc33dd',
  ...over,
});
const webhook = (alerts: unknown[], over: object = {}) => ({
  version: '4',
  groupKey: '{}:{alertname="OpenBaoSealed"}',
  truncatedAlerts: 0,
  receiver: 'catalyst',
  status: 'firing',
  alerts,
  externalURL: 'http://am',
  ...over,
});
function read(body: unknown) {
  const parsed = parsePayload(bytes(body));
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.problem);
  return parsed.payload;
}
function readOne(over: object = {}): AlertReport {
  const [one] = read(webhook([alert(over)])).alerts;
  assert.ok(one);
  return one;
}
function problemOf(body: string | object): string {
  const parsed = parsePayload(bytes(body));
  assert.equal(parsed.ok, false);
  return parsed.ok ? '' : parsed.problem;
}

test('a delivery of version 4 is read in full', () => {
  const payload = read(webhook([alert()], { receiver: 'web\\.hook', notification_reason: 'repeat interval elapsed' }));
  assert.equal(payload.receiver, 'web.hook');
  assert.equal(payload.notificationReason, 'repeat interval elapsed');
  assert.deepEqual(payload.alerts, [
    {
      status: 'firing',
      name: 'OpenBaoSealed',
      labels: { alertname: 'OpenBaoSealed', namespace: 'catalyst-system' },
      annotations: { summary: 'sealed' },
      startsAt: Date.UTC(2026, 10, 2, 3, 4, 5, 678),
      endsAt: undefined,
      generatorUrl: 'http://prometheus/graph?g0.expr=up',
      fingerprint: '00aa11bb22cc33dd',
    },
  ]);
});

test('keys of later versions are ignored, and those of earlier ones may be missing', () => {
  const payload = read({ alerts: [alert()], routeLabels: { team: 'a' }, somethingNew: [[[]]] });
  assert.equal(payload.alerts.length, 1);
  assert.equal(payload.truncatedAlerts, 0);
  assert.equal(payload.notificationReason, undefined);
});

test('firing and resolved alerts may come in one body', () => {
  const payload = read(webhook([alert(), alert({ status: 'resolved', endsAt: '2026-11-02T04:00:00+01:00' })]));
  assert.deepEqual(
    payload.alerts.map((a) => [a.status, a.endsAt]),
    [
      ['firing', undefined],
      ['resolved', Date.UTC(2026, 10, 2, 3)],
    ],
  );
});

test('an alert without a status takes the status of its group, unless alerts were left out of the group', () => {
  const { status, ...bare } = alert();
  assert.equal(read(webhook([bare], { status: 'resolved' })).alerts[0]?.status, 'resolved');
  const truncated = read(webhook([bare], { status: 'resolved', truncatedAlerts: 3 }));
  assert.equal(truncated.truncatedAlerts, 3);
  assert.deepEqual(truncated.alerts, []);
  assert.match(truncated.problems[0] ?? '', /Alert 1: its status is neither/);
  assert.equal(status, 'firing');
});

test('one unreadable alert leaves the others readable', () => {
  const payload = read(webhook([alert(), 7, alert({ labels: {} }), alert({ status: 'melted' }), alert()]));
  assert.equal(payload.alerts.length, 2);
  assert.deepEqual(
    payload.problems.map((p) => p.slice(0, 8)),
    ['Alert 2:', 'Alert 3:', 'Alert 4:'],
  );
});

test('a body that is no delivery is refused in words', () => {
  assert.match(problemOf(''), /empty/);
  assert.match(problemOf('{"alerts":[}'), /not JSON/);
  assert.match(problemOf('[]'), /not an object/);
  assert.match(problemOf('null'), /not an object/);
  assert.match(problemOf('{"ref":"main","inputs":{}}'), /no list `alerts`/);
  assert.match(problemOf(webhook(Array(20_001).fill(0))), /20001 alerts; the limit is 20000/);
  assert.match(problemOf('['.repeat(5_000_000)), /nested deeper than 32/);
});

test('hostile values become harmless text', () => {
  const one = readOne({
    labels: JSON.parse(
      '{"alertname":"A\\u0000B","__proto__":"x","constructor":"y","n":3,"t":true,"z":null,"s":"\\ud800"}',
    ),
    annotations: { deep: { a: [1] }, long: 'x'.repeat(20_000) },
  });
  assert.deepEqual(Object.entries(one.labels), [
    ['alertname', 'A\ufffdB'],
    ['__proto__', 'x'],
    ['constructor', 'y'],
    ['n', '3'],
    ['t', 'true'],
    ['z', ''],
    ['s', '\ufffd'],
  ]);
  assert.equal(Object.getPrototypeOf(one.labels), Object.prototype);
  assert.equal(({} as Record<string, unknown>).x, undefined);
  assert.equal(one.annotations.deep, '{"a":[1]}');
  assert.equal(one.annotations.long?.length, defaultPayloadLimits.valueLength);
});

test('labels over a limit make the alert unreadable: cut short, it would be another alert', () => {
  const many = Object.fromEntries(Array.from({ length: 257 }, (_, i) => [`l${i}`, 'x']));
  const payload = read(
    webhook([alert({ labels: many }), alert({ labels: { a: 'x'.repeat(16_385) } }), alert({ labels: 'x' })]),
  );
  assert.equal(payload.alerts.length, 0);
  assert.match(payload.problems.join(' '), /257 labels; the limit is 256.*longer than 16384.*no labels/);
});

test('times: RFC 3339 with any decimals; the zero time and what is no time are absent', () => {
  assert.equal(readTime('2026-11-02T03:04:05Z'), Date.UTC(2026, 10, 2, 3, 4, 5));
  assert.equal(readTime('2026-11-02T03:04:05.1-02:30'), Date.UTC(2026, 10, 2, 5, 34, 5, 100));
  for (const absent of ['0001-01-01T00:00:00Z', '0000-00-00T00:00:00Z', '2026-02-30', '', 'now', 5, null, undefined])
    assert.equal(readTime(absent), undefined, String(absent));
});

test('a missing or odd fingerprint is computed as Prometheus computes it', () => {
  // Values published with the algorithm, and the one in the tests of prometheus/common.
  assert.equal(fnv1a64([]), 'cbf29ce484222325');
  assert.equal(fnv1a64(Buffer.from('foobar')), '85944171f73967e8');
  const labels = { name: 'garland, briggs', fear: 'love is not enough' };
  assert.equal(BigInt(`0x${fingerprintOf(labels)}`), 5799056148416392346n);
  assert.equal(readOne({ labels, fingerprint: undefined }).fingerprint, fingerprintOf(labels));
  assert.equal(readOne({ labels, fingerprint: 'x'.repeat(65) }).fingerprint, fingerprintOf(labels));
  assert.equal(readOne({ labels, fingerprint: "'; --" }).fingerprint, fingerprintOf(labels));
});

test('the quoting of a receiver is taken off again', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (name) => {
      // Go's regexp.QuoteMeta.
      const quoted = name.replaceAll(/[\\.+*?()|[\]{}^$]/g, (c) => `\\${c}`);
      assert.equal(unquoteRegexp(quoted), name);
    }),
  );
});

test('depth is counted outside strings only', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
      const depth = (v: unknown): number =>
        typeof v === 'object' && v !== null ? 1 + Math.max(0, ...Object.values(v).map(depth)) : 0;
      const text = Buffer.from(JSON.stringify(value));
      assert.equal(exceedsDepth(text, depth(value)), false);
      if (depth(value) > 0) assert.equal(exceedsDepth(text, depth(value) - 1), true);
    }),
  );
});

test('whatever the bytes, reading gives a payload or a problem and never throws', () => {
  const anything = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.string().map(bytes),
    fc.jsonValue().map(bytes),
    fc.array(fc.jsonValue()).map((alerts) => bytes({ alerts })),
    fc
      .record({
        status: fc.oneof(fc.constantFrom('firing', 'resolved'), fc.jsonValue()),
        labels: fc.oneof(fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue()), fc.jsonValue()),
        annotations: fc.jsonValue(),
        startsAt: fc.oneof(
          fc.date({ noInvalidDate: true }).map((d) => d.toISOString()),
          fc.jsonValue(),
        ),
        endsAt: fc.jsonValue(),
        fingerprint: fc.jsonValue(),
      })
      .map((one) => bytes({ alerts: [one] })),
  );
  fc.assert(
    fc.property(anything, (body) => {
      const parsed = parsePayload(body);
      if (!parsed.ok) return assert.ok(parsed.problem.length > 0);
      for (const one of parsed.payload.alerts) {
        assert.match(one.fingerprint, /^[0-9A-Za-z_-]{1,64}$/);
        assert.ok(one.name.length > 0);
        for (const text of [...Object.keys(one.labels), ...Object.values(one.labels), one.generatorUrl]) {
          assert.equal(typeof text, 'string');
          assert.ok(text.isWellFormed() && !text.includes('\u0000'));
        }
      }
    }),
    { numRuns: 500 },
  );
});
