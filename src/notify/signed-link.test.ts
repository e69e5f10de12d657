import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { newId } from '../ids.ts';
import { calendarToken, isCalendarToken, linkKeysOf, type PageClaim, readClaim, signClaim } from './signed-link.ts';

const keys = linkKeysOf('a secret of the test');
const id = fc.integer({ min: 0, max: 2 ** 45 }).map(newId);
const claim: fc.Arbitrary<PageClaim> = fc.record({
  pageId: id,
  incidentId: id,
  receiver: fc.stringMatching(/^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$/),
  expiresAt: fc.integer({ min: 0, max: 8.64e15 }),
});

test('a token says what was signed, fits into a path, and is the same each time', () => {
  fc.assert(
    fc.property(claim, (said) => {
      const token = signClaim(keys.acknowledge, said);
      assert.deepEqual(readClaim(keys.acknowledge, token), { ...said });
      assert.equal(signClaim(keys.acknowledge, said), token);
      assert.match(token, /^[\w.-]{1,250}$/);
    }),
  );
});

test('a token that was changed anywhere, cut, prolonged or signed with another key is none', () => {
  fc.assert(
    fc.property(claim, fc.nat(), fc.constantFrom('A', 'b', '_', '.', ''), (said, at, by) => {
      const token = signClaim(keys.acknowledge, said);
      const position = at % token.length;
      const changed = `${token.slice(0, position)}${by}${token.slice(position + 1)}`;
      if (changed !== token) assert.equal(readClaim(keys.acknowledge, changed), undefined);
      for (const other of [`${token}A`, `${token}.`, `${token}=`, ` ${token}`, token.slice(1), ''])
        assert.equal(readClaim(keys.acknowledge, other), undefined);
      assert.equal(readClaim(keys.calendar, token), undefined);
      assert.equal(readClaim(linkKeysOf('another secret').acknowledge, token), undefined);
    }),
  );
});

test('the token of a calendar opens that calendar and no other', () => {
  const sre = { name: 'sre', organization: undefined };
  const token = calendarToken(keys.calendar, sre);
  assert.match(token, /^[\w-]{43}$/);
  assert.ok(isCalendarToken(keys.calendar, token, sre));
  assert.ok(!isCalendarToken(keys.calendar, token, { ...sre, organization: 'acme' }));
  assert.ok(!isCalendarToken(keys.calendar, token, { ...sre, name: 'lab' }));
  assert.ok(!isCalendarToken(linkKeysOf('another secret').calendar, token, sre));
  assert.ok(!isCalendarToken(keys.calendar, token.slice(1), sre));
});
