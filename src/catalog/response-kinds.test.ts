import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadDocuments } from './document.ts';

const head = (kind: string) =>
  `apiVersion: catalyst.openova.io/v1alpha1\nkind: ${kind}\nmetadata: { name: it }\nspec:\n`;
const calendar = (spec: string) =>
  head('BusinessCalendar') + (spec || '  timeZone: Europe/Berlin\n  days: [Monday]\n  from: "09:00"\n  to: "17:00"\n');
const schedule = (more: string, start = '2026-01-05T09:00') =>
  `${head('OnCallSchedule')}  timeZone: Europe/Berlin\n  rotations:\n    - { name: a, people: [mira], start: ${start}, every: Week }\n${more}`;
const policy = (...afters: string[]) =>
  `${head('EscalationPolicy')}  severities: [P1]\n  steps:\n${afters.map((after) => `    - { after: ${after}, notify: [{ schedule: sre }] }\n`).join('')}`;
const problemsOf = (text: string) => loadDocuments(text, { source: 'test', file: 'it.yaml' }).problems;

test('documents about response that are sound load', () => {
  for (const text of [calendar(''), schedule(''), policy('0s', '10m', '10m')]) assert.deepEqual(problemsOf(text), []);
});

test('what a schema cannot say is said with its line and column', () => {
  const day = (from: string, to: string, zone = 'UTC') =>
    calendar(`  timeZone: ${zone}\n  days: [Monday]\n  from: "${from}"\n  to: "${to}"\n`);
  const cases: [string, string, number, number][] = [
    [day('09:00', '17:00', 'Mars/Olympus'), 'bad-time-zone', 5, 13],
    [day('17:00', '09:00'), 'day-without-hours', 8, 7],
    [`${calendar('')}  holidays: [{ date: 2026-02-30 }]\n`, 'bad-date', 9, 22],
    [schedule('', '2026-02-30T09:00'), 'bad-date', 7, 41],
    [
      schedule('  overrides: [{ person: jo, from: 2026-01-06T09:00, to: 2026-01-06T09:00 }]\n'),
      'override-without-time',
      8,
      57,
    ],
    [policy('10m', '5m'), 'steps-out-of-order', 8, 16],
    [policy('999d'), 'bad-duration', 7, 16],
  ];
  for (const [text, rule, line, column] of cases)
    assert.deepEqual(
      problemsOf(text).map((p) => [p.rule, p.line, p.column]),
      [[rule, line, column]],
      text,
    );
});

test('a target is a schedule or a receiver, and nothing else', () => {
  const [problem] = problemsOf(policy('0s').replace('schedule: sre', 'person: mira'));
  assert.match(problem?.sentence ?? '', /exactly one of schedule, receiver/);
});
