import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { terminal } from './cli-fixture.ts';

const t = terminal();
before(() => t.open());
after(() => t.close());

test('get on-call says who is called, until when, and who comes next', async () => {
  const { code, out } = await t.cli(['get', 'on-call']);
  assert.equal(code, 0);
  assert.match(out, /^NAME +ORGANIZATION +NOW +UNTIL +NEXT\n/);
  assert.match(out, /^sre +<sovereign> +mira +2026-01-05T13:00Z +jo$/m);
  assert.match(out, /^shop +acme /m);
  assert.match((await t.cli(['get', 'on-call', 'sre', '-o', 'wide'])).out, /Europe\/Berlin +jo, mira$/m);
});

test('describe on-call shows the rotations and the shifts to come', async () => {
  const { code, out } = await t.cli(['describe', 'on-call', 'sre']);
  assert.equal(code, 0);
  assert.match(out, /^Person: +mira$/m);
  assert.match(out, /^Spec:\n {2}timeZone: Europe\/Berlin$/m);
  assert.match(out, /^Shifts:\n {2}FROM +TO +PERSON +BY\n {2}2\S+Z +2\S+Z +mira +week$/m);
});

test('on-call feed prints an address that needs no token, and says so', async () => {
  const { code, out, err } = await t.cli(['on-call', 'feed', 'sre', '--person', 'mira']);
  assert.equal(code, 0);
  assert.equal(out, `${t.server}/calendars/sre/the-token.ics?person=mira\n`);
  assert.match(err, /without logging in/);
  const answer = await fetch(out.trim());
  assert.equal(await answer.text(), 'BEGIN:VCALENDAR\r\nX-OF:sre mira\r\n');
  assert.equal((await fetch(out.trim().replace('the-token', 'another'))).status, 404);
});

test('on-call export prints the calendar and nothing else', async () => {
  const { code, out, err } = await t.cli(['on-call', 'export', 'sre', '--person', 'mira']);
  assert.deepEqual([code, err], [0, '']);
  assert.equal(out, 'BEGIN:VCALENDAR\r\nX-OF:sre mira\r\n');
  const none = await t.cli(['on-call', 'export', 'none']);
  assert.equal(none.code, 1);
  assert.match(none.err, /There is no schedule none/);
});
