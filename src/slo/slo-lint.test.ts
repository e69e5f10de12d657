import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { loadSloDocuments } from './documents.ts';
import { parsePromQl, resultLabels } from './promql.ts';
import { lintWith, root, sourceOf } from './slo-fixture.ts';

const fixtures = (folder: string) =>
  globSync(`test/fixtures/slo/${folder}/*.yaml`, { cwd: root })
    .sort()
    .map((file) => sourceOf(file, readFileSync(join(root, file), 'utf8')));

describe('a document that cannot work is told so, at its place', () => {
  for (const text of fixtures('bad')) {
    const { file } = text.origin;
    const [rule = ''] = basename(file, '.yaml').split('.');
    it(basename(file, '.yaml'), () => {
      const found = lintWith([text]).problems.filter((problem) => problem.file === file);
      const problem = found.find((one) => one.rule === rule);
      assert.ok(problem, `${rule} is not among ${found.map((one) => one.rule)}`);
      assert.match(problem.sentence, /[.?]$/);
      assert.ok(problem.line > 1 && problem.column > 1, `it is at ${problem.line}:${problem.column}`);
      // What the fixture is not about is in order, or follows from it.
      for (const other of found) assert.equal(other.rule, rule, other.sentence);
    });
  }
});

describe('a document that can work is left alone', () => {
  for (const text of fixtures('good'))
    it(basename(text.origin.file, '.yaml'), () => {
      const { problems, slos } = lintWith([text]);
      assert.deepEqual(problems, []);
      assert.ok(slos.some(({ name }) => name === 'checkout'));
    });
});

it('the place of a mistake in PromQL is that of the character', () => {
  const text = fixtures('bad').find(({ origin }) => origin.file.endsWith('unknown-label.yaml'));
  assert.ok(text);
  const [problem] = lintWith([text]).problems;
  const line = String(text.text).split('\n')[(problem?.line ?? 0) - 1] ?? '';
  assert.ok(line.slice((problem?.column ?? 0) - 1).startsWith('destination_wrkload'));
  assert.match(problem?.sentence ?? '', /Did you mean destination_workload\?/);
});

it('hostile texts are told what is wrong with them, and break nothing', () => {
  const sound = fixtures('good').map(({ text }) => String(text));
  const mutated = fc
    .tuple(fc.constantFrom(...sound), fc.nat(600), fc.nat(40), fc.string({ maxLength: 20, unit: 'binary' }))
    .map(([text, at, drop, insert]) => text.slice(0, at) + insert + text.slice(at + drop));
  fc.assert(
    fc.property(mutated, (text) => {
      const documents = loadSloDocuments([sourceOf('fuzz.yaml', text)]);
      for (const { line, column, sentence } of documents.problems)
        assert.ok(line >= 1 && column >= 1 && sentence !== '');
    }),
    { numRuns: 300 },
  );
});

it('any text can be parsed as PromQL without an exception', () => {
  const tokens = fc.constantFrom(
    'sum',
    'by',
    '(',
    ')',
    '{',
    '}',
    '[',
    ']',
    'a',
    '"x"',
    '=',
    '=~',
    '5m',
    'rate',
    '$window',
    'on',
    'or',
    '>',
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(tokens, fc.string({ maxLength: 3 })), { maxLength: 25 }), (parts) => {
      resultLabels(parsePromQl(parts.join(' ')));
    }),
    { numRuns: 500 },
  );
});
