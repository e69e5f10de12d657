import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { vocabulary } from '../../test/support/vocabulary.ts';
import { createLanguage } from '../check/language.ts';
import { loadDocuments, loadObject, maxFileBytes } from './document.ts';
import { lintTexts } from './lint.ts';

const fixtures = join(import.meta.dirname, '../../test/fixtures/runbooks');
const language = createLanguage(vocabulary());
const origin = { source: 'folder:/runbooks', file: 'a.yaml' };
const lint = (text: string | Uint8Array) => lintTexts([{ origin, text }], language);
const example = readFileSync(join(fixtures, 'good/handbook-section-14.yaml'), 'utf8');

describe('good documents', () => {
  for (const file of readdirSync(join(fixtures, 'good')))
    it(file, () => {
      const { problems, runbooks } = lint(readFileSync(join(fixtures, 'good', file)));
      assert.deepEqual(problems, []);
      assert.equal(runbooks.length, 1);
    });
});

describe('bad documents say what is wrong and where', () => {
  for (const file of readdirSync(join(fixtures, 'bad')))
    it(file, () => {
      const text = readFileSync(join(fixtures, 'bad', file), 'utf8');
      const [, severity, line, column] = /# expect (error|warning) at (\d+):(\d+)\n$/.exec(text) ?? [];
      assert.ok(severity, 'the fixture does not say what to expect');
      const { problems } = lint(text);
      assert.equal(problems.length, 1, JSON.stringify(problems));
      const [problem] = problems;
      assert.ok(problem && file.split('.').includes(problem.rule), `${problem?.rule} was reported`);
      assert.deepEqual([problem.severity, problem.line, problem.column], [severity, Number(line), Number(column)]);
      assert.match(problem.sentence, /^\S.*[.?A-Z\]]$/s);
    });
});

describe('loading', () => {
  it('gives each document its place, digest and provenance', () => {
    const { resources, problems } = loadDocuments(`# first\n---\n${example}---\n# nothing\n---\n${example}`, {
      source: 'git:acme/runbooks',
      organization: 'acme',
      revision: 'abc',
      file: 'x.yaml',
    });
    assert.deepEqual(problems, []);
    const [first, second] = resources.map((r) => r.provenance);
    assert.ok(first && second);
    assert.deepEqual(
      { ...first, digest: '' },
      { source: 'git:acme/runbooks', organization: 'acme', revision: 'abc', file: 'x.yaml', line: 3, digest: '' },
    );
    assert.equal(first.digest, second.digest);
    assert.match(first.digest, /^[0-9a-f]{64}$/);
    assert.equal(second.line, 3 + example.split('\n').length + 2);
  });

  it('keeps the neighbours of a bad document', () => {
    const { resources, problems } = loadDocuments(`a: "open\n---\n${example}---\n[[[\n---\n${example}`, origin);
    assert.equal(resources.length, 2);
    assert.deepEqual(
      problems.map((p) => p.rule),
      ['yaml-syntax', 'yaml-syntax'],
    );
  });

  it('reads a document that begins on its marker, CRLF and a byte order mark', () => {
    const json = JSON.stringify({
      ...JSON.parse(JSON.stringify(loadDocuments(example, origin).resources[0])),
      provenance: undefined,
    });
    for (const text of [`--- ${json}\n...\n`, `\uFEFF${example.replaceAll('\n', '\r\n')}`])
      assert.deepEqual(
        loadDocuments(text, origin).resources.map((r) => r.metadata.name),
        ['openbao-sealed'],
      );
  });

  const refused: [string, string | Uint8Array][] = [
    ['too-large', 'x'.repeat(maxFileBytes + 1)],
    ['not-utf8', new Uint8Array([0x61, 0xff, 0xfe])],
    ['too-large', '---\na: 1\n'.repeat(501)],
  ];
  for (const [rule, text] of refused)
    it(`refuses ${rule} of ${text.length}`, () =>
      assert.deepEqual(
        loadDocuments(text, origin).problems.map((p) => p.rule),
        [rule],
      ));

  it('is not kept busy by bombs', () => {
    const bombs = [
      `${'['.repeat(100_000)}`,
      `${'- '.repeat(50_000)}`,
      Array.from({ length: 60_000 }, (_, i) => `k${i}: 1`).join('\n'),
      `a: &a [x]\n${Array.from({ length: 400 }, (_, i) => `b${i}: [${'*a,'.repeat(100)}]`).join('\n')}`,
      `"${'\\u0041'.repeat(150_000)}`,
    ];
    for (const bomb of bombs) {
      const started = performance.now();
      assert.ok(loadDocuments(bomb, origin).problems.length > 0);
      // A few hundred ms on a slow machine; a quadratic reader takes minutes.
      assert.ok(performance.now() - started < 10_000, bomb.slice(0, 20));
    }
  });

  it('never throws, and never claims a resource that has an error', () => {
    const lines = example.split('\n');
    const mutated = fc
      .array(
        fc.tuple(
          fc.nat({ max: lines.length }),
          fc.constantFrom(
            '',
            '  ',
            '- ',
            '---',
            '"',
            "'",
            '&a',
            '*a',
            '!!x ',
            '{',
            '[',
            '|',
            '>',
            '\t',
            '%',
            '#',
            '? ',
            ': ',
            '${{',
            '\u0000',
          ),
        ),
        { minLength: 1, maxLength: 4 },
      )
      .map((edits) => {
        const copy = [...lines];
        for (const [at, text] of edits) copy[at] = text + (copy[at] ?? '');
        return copy.join('\n');
      });
    fc.assert(
      fc.property(
        fc.oneof(mutated, fc.string({ unit: 'binary', maxLength: 300 }), fc.uint8Array({ maxLength: 100 })),
        (text) => {
          for (const problem of lint(text as string | Uint8Array).problems) {
            assert.ok(problem.line >= 1 && problem.column >= 1 && problem.sentence !== '', JSON.stringify(problem));
          }
        },
      ),
      { numRuns: 1500 },
    );
  });

  it('takes an object from the cluster without what the server adds', () => {
    const [resource] = loadDocuments(example, origin).resources;
    assert.ok(resource);
    const { provenance: _provenance, ...object } = resource;
    const fromServer = {
      ...object,
      metadata: { ...object.metadata, uid: 'u', resourceVersion: '7', generation: 3 },
      status: { conditions: [] },
    };
    const loaded = loadObject(fromServer, { source: 'cluster', file: 'catalyst-system/openbao-sealed', revision: '7' });
    assert.deepEqual(loaded.problems, []);
    assert.deepEqual(loaded.resource?.metadata, object.metadata);
    const again = loadObject(
      { ...fromServer, status: {}, metadata: { ...fromServer.metadata, resourceVersion: '8' } },
      origin,
    );
    assert.equal(again.resource?.provenance.digest, loaded.resource?.provenance.digest);
    assert.equal(loadObject(null, origin).problems[0]?.rule, 'not-a-resource');
  });
});
