import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fingerprintOf } from './fingerprint.ts';
import { readAlertHistory } from './history.ts';

const labels = { alertname: 'OpenBaoSealed', namespace: 'openbao' };
const labelSet = { labels: Object.entries(labels).map(([key, value]) => ({ key, value })) };
const alert = {
  name: 'OpenBaoSealed',
  labels: labelSet,
  annotations: {},
  startsAt: '2026-01-05T12:00:00Z',
  endsAt: '2026-01-05T12:09:00Z',
};
const event = (at: string, data: object) => JSON.stringify({ '@timestamp': at, instance: 'am-0', data });

test("lines of the event recorder: notifications tell what was delivered, and an alert's end", () => {
  const text = [
    event('2026-01-05T12:00:00Z', { alertmanagerStartupEvent: { version: '0.34.0' } }),
    event('2026-01-05T12:00:05Z', {
      alertCreated: {
        alert: { ...alert, name: 'Silenced', labels: { labels: [{ key: 'alertname', value: 'Silenced' }] } },
      },
    }),
    event('2026-01-05T12:00:40Z', {
      notification: { alerts: [{ hash: '1', details: alert }], firingAlerts: [{ hash: '1' }] },
    }),
    event('2026-01-05T12:10:00Z', { alertResolved: { alert: { hash: '1', details: { ...alert, resolved: true } } } }),
  ].join('\n');
  const { sightings, problems } = readAlertHistory(text);
  assert.deepEqual(problems, []);
  assert.deepEqual(
    sightings.map(({ at, report }) => [new Date(at).toISOString(), report.status, report.name]),
    [
      ['2026-01-05T12:00:40.000Z', 'firing', 'OpenBaoSealed'],
      ['2026-01-05T12:10:00.000Z', 'resolved', 'OpenBaoSealed'],
    ],
  );
  assert.equal(sightings[0]?.report.fingerprint, fingerprintOf(labels));
});

test('a recorder that tells of no notification tells what fired; field names may be as the protocol declares them', () => {
  const { sightings } = readAlertHistory(
    `${event('2026-01-05T12:00:05Z', { alert_created: { alert: { labels: labelSet, starts_at: '2026-01-05T12:00:00Z' } } })}\n`,
  );
  assert.equal(sightings.length, 1);
  assert.equal(sightings[0]?.report.startsAt, Date.UTC(2026, 0, 5, 12));
});

test('saved webhook bodies: one, a list, or one a line; what cannot be read is told with its line', () => {
  const body = {
    version: '4',
    alerts: [{ status: 'firing', labels, startsAt: '2026-01-05T12:00:00Z', endsAt: '0001-01-01T00:00:00Z' }],
  };
  assert.equal(readAlertHistory(JSON.stringify(body, null, 2)).sightings.length, 1);
  assert.equal(readAlertHistory(JSON.stringify([body, body])).sightings.length, 2);
  const mixed = readAlertHistory(`${JSON.stringify(body)}\nnonsense\n{"a":1}\n[]\n`);
  assert.equal(mixed.sightings.length, 1);
  assert.deepEqual(mixed.problems, [
    { line: 2, sentence: 'It is not JSON.' },
    { line: 3, sentence: 'It is neither an event of the recorder nor a webhook body.' },
    { line: 4, sentence: 'It is JSON, but not an object.' },
  ]);
});
