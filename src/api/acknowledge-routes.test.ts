import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { CatalystError } from '../errors.ts';
import { createLog } from '../telemetry/log.ts';
import { createFixture, type Fixture, startApi } from './api-fixture.ts';
import type { Api } from './fastify.ts';

let f: Fixture;
let app: Api;
let lines: string;
const at = Date.UTC(2026, 0, 5, 12);
const token = 'd29yZHM.c2lnbmF0dXJlLXRoYXQtbm9ib2R5LWd1ZXNzZXM';
const about = { id: 'i1', title: '<img src=x onerror="alert(1)"> & co', severity: 'P1', openedAt: at };
beforeEach(async () => {
  f = createFixture();
  lines = '';
  const stream = {
    write: (line: string) => {
      lines += line;
    },
  };
  app = await startApi(f, { log: createLog({ level: 'debug', stream }) });
  f.links.set(token, { state: 'Open', about, receiver: 'mira' });
});
afterEach(() => app.close());

const look = (word = token) => app.inject({ method: 'GET', url: `/ack/${word}` });
/** As the button sends it. */
const press = (word = token) =>
  app.inject({
    method: 'POST',
    url: `/ack/${word}`,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    payload: '',
  });

test('opening the link changes nothing, however often; the button acknowledges', async () => {
  for (let scanner = 0; scanner < 3; scanner++) assert.equal((await look()).statusCode, 200);
  assert.equal((await app.inject({ method: 'HEAD', url: `/ack/${token}` })).statusCode, 200);
  assert.deepEqual(f.commands, []);
  assert.match((await look()).body, /<form method="post"><button type="submit">Acknowledge<\/button><\/form>/);
  const pressed = await press();
  assert.equal(pressed.statusCode, 200);
  assert.match(pressed.body, /It is yours/);
  assert.deepEqual(f.commands, ['acknowledge i1 receiver/mira']);
});

test('pressed again, or after somebody else, it says who was first, and has no button', async () => {
  await press();
  const again = await press();
  assert.equal(again.statusCode, 409);
  assert.match(again.body, /receiver\/mira was first, at 2026-01-05 12:00:00 UTC/);
  assert.doesNotMatch(again.body, /<button/);
  assert.equal((await look()).statusCode, 200);
  assert.deepEqual(f.commands, ['acknowledge i1 receiver/mira']);
});

test('a link that is unknown, has run out, or is about something that is over, says so', async () => {
  for (const [state, status, words] of [
    [{ state: 'Unknown' }, 404, /not known/],
    [{ state: 'Expired' }, 410, /run out/],
    [{ state: 'Resolved', about, by: 'engine', at }, 409, /resolved at 2026-01-05 12:00:00 UTC by engine/],
  ] as const) {
    f.links.set(token, state);
    const pressed = await press();
    assert.equal(pressed.statusCode, status);
    assert.match(pressed.body, words);
    assert.doesNotMatch((await look()).body, /<button/);
  }
  assert.equal((await look('nonsense')).statusCode, 404);
  assert.equal((await look('x'.repeat(300))).statusCode, 404);
  assert.deepEqual(f.commands, []);
});

test('the page runs no script, loads nothing, cannot be framed and sends no address on; a hostile title is text', async () => {
  const { headers, body } = await look();
  const policy = String(headers['content-security-policy']);
  assert.match(
    policy,
    /^default-src 'none'; style-src 'sha256-[^']+'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'$/,
  );
  assert.deepEqual(
    [headers['referrer-policy'], headers['cache-control'], headers['x-frame-options'], headers['x-robots-tag']],
    ['no-referrer', 'no-store', 'DENY', 'noindex'],
  );
  assert.match(body, /P1 &lt;img src=x onerror=&quot;alert\(1\)&quot;&gt; &amp; co/);
  assert.doesNotMatch(body, /<(?:img|script|link|a|iframe)\b/);
});

test('the token is in no log line and in no answer, also when it goes wrong', async () => {
  const answers = [await look(), await press(), await press(), await look('nonsense')];
  f.fail.command = new CatalystError('Unavailable', 'The database does not answer.');
  answers.push(await look());
  assert.equal(answers.at(-1)?.statusCode, 503);
  assert.match(answers.at(-1)?.body ?? '', /Nothing was acknowledged/);
  answers.push(
    await app.inject({ method: 'POST', url: `/ack/${token}`, headers: { 'content-type': 'text/html' }, payload: 'x' }),
    await app.inject({ method: 'GET', url: `/calendars/sre/${token}` }),
  );
  for (let more = 0; more < 60; more++) answers.push(await look());
  assert.equal(answers.at(-1)?.statusCode, 429, 'and nobody can try many');
  assert.match(lines, /"route":"\/ack\/:token"/);
  assert.ok(!lines.includes(token));
  for (const answer of answers) assert.ok(!answer.body.includes(token), answer.body);
  assert.equal(answers.at(-1)?.json().instance, '/ack/:token');
});
