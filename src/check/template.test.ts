import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { vocabulary } from '../../test/support/vocabulary.ts';
import { VirtualClock } from '../clock.ts';
import type { Json } from '../integrations/contract.ts';
import { ExpressionError } from './check.ts';
import { createFactReader } from './fact-reader.ts';
import { createLanguage } from './language.ts';
import { splitPlaceholders } from './template.ts';

const language = createLanguage(vocabulary({ 'openbao.reachable': true, 'budget.spentRatio("acme")': 0.5 }));

async function fill(value: Json, labels: Record<string, string> = {}) {
  const reader = createFactReader({ clock: new VirtualClock(), signal: new AbortController().signal });
  const alert = { name: 'A', labels, annotations: {}, startsAt: 0, fingerprint: 'f' };
  const evaluation = await language.template(value).evaluate({ alert }, reader);
  return evaluation.ok ? evaluation.value : evaluation.error.message;
}

describe('a template', () => {
  const cases: [Json, Json][] = [
    ['plain', 'plain'],
    ['${{ 1 + 1 }}', 2],
    [' ${{ 1 + 1 }}', ' 2'],
    ['${{ [1, 2] }}', [1, 2]],
    ['${{ openbao.reachable }}', true],
    ['a ${{ 1 }}${{ "b" }} ${{ true }} c', 'a 1b true c'],
    ['${{ {"a": {"b": 1}} }}', { a: { b: 1 } }],
    ['${{ "}}" }}', '}}'],
    [`\${{ '"}}' + "'" }}`, `"}}'`],
    ['${{ """a"}}""" }}', 'a"}}'],
    ['${{ r"\\d}}" }}', '\\d}}'],
    ['${{ "${{" }}', '${{'],
    ['$ {{ }} }}', '$ {{ }} }}'],
    [
      { a: ['${{ 1 }}', { b: 'x${{ 2 }}' }], c: null, d: 3 },
      { a: [1, { b: 'x2' }], c: null, d: 3 },
    ],
    ['${{ timestamp("2026-01-01T00:00:00Z") }}', '2026-01-01T00:00:00.000Z'],
    ['${{ budget.spentRatio("acme") }}', 0.5],
  ];
  for (const [value, expected] of cases)
    it(JSON.stringify(value), async () => assert.deepEqual(await fill(value), expected));

  it('knows when it is constant, and what it reads', () => {
    const constant = language.template({ a: ['x', 1] });
    assert.deepEqual([constant.constant, constant.value], [true, { a: ['x', 1] }]);
    const other = language.template({ a: '${{ openbao.reachable }}', b: '${{ alert.name }} ${{ openbao.reachable }}' });
    assert.deepEqual([other.constant, other.facts, other.variables], [false, ['openbao.reachable'], ['alert']]);
    assert.equal(language.template('${{ openbao.reachable }}').type, 'bool');
  });

  it('says where a placeholder is wrong', () => {
    const wrong = (value: Json) => {
      try {
        language.template(value);
      } catch (error) {
        assert.ok(error instanceof ExpressionError);
        return [error.rule, error.path, error.offset];
      }
      throw new assert.AssertionError({ message: 'it was accepted' });
    };
    assert.deepEqual(wrong({ a: [1, 'x ${{ alrt.name }}'] }), ['unknown-variable', ['a', 1], 6]);
    assert.deepEqual(wrong('ab ${{ 1 '), ['template-syntax', [], 3]);
    assert.deepEqual(wrong('${{ "x }}'), ['template-syntax', [], 0]);
    assert.deepEqual(wrong('x ${{ [1] }}'), ['check-type', [], 6]);
    assert.deepEqual(wrong('${{ }}'), ['check-syntax', [], 3]);
  });

  it('never looks again at what it filled in', async () => {
    const labels = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('${{ 1 + 1 }}', '}}', '"', '${{', "' + '", '{"a":1}'),
    );
    await fc.assert(
      fc.asyncProperty(labels, labels, async (a, b) => {
        const filled = await fill(
          { x: '${{ alert.labels.a }}', y: '<${{ alert.labels.b }}|${{ alert.labels.a }}>' },
          { a, b },
        );
        assert.deepEqual(filled, { x: a, y: `<${b}|${a}>` });
      }),
    );
  });

  it('splits any text so that nothing is lost', () => {
    const text = fc.array(fc.constantFrom('${{', '}}', '{', '}', '"', "'", 'a', ' ', '\\', '$')).map((p) => p.join(''));
    fc.assert(
      fc.property(text, (source) => {
        let segments: ReturnType<typeof splitPlaceholders>;
        try {
          segments = splitPlaceholders(source);
        } catch (error) {
          assert.ok(error instanceof ExpressionError);
          return;
        }
        assert.equal(segments.map((s) => ('text' in s ? s.text : `\${{${s.expression}}}`)).join(''), source);
      }),
    );
  });
});
