import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { VirtualClock } from '../clock.ts';
import { createCatalog } from './catalog.ts';
import { compile, load, saidSource, startedCatalog, summary } from './catalog-fixture.ts';
import { byText } from './order.ts';
import { fileProblem, precedences, sourceProblem } from './source.ts';

const clock = new VirtualClock(Date.UTC(2026, 0, 5, 12));

function everySource() {
  return {
    handbook: saidSource('handbook', precedences.handbook),
    folder: saidSource('folder:/etc/runbooks', precedences.folder),
    sovereign: saidSource('git:system/runbooks', precedences.sovereignGit, { repository: 'system/runbooks' }),
    acme: saidSource('git:acme/runbooks', precedences.organizationGit, {
      organization: 'acme',
      repository: 'acme/runbooks',
    }),
    cluster: saidSource('cluster', precedences.cluster),
  };
}

test('the higher source overrides, within its scope', async () => {
  const sources = everySource();
  const catalog = await startedCatalog({ sources: Object.values(sources), clock });
  for (const [name, source] of Object.entries(sources)) source.say({ 'a.yaml': `Runbook a ${name}` });
  const levels = Object.values(sources).reverse();
  const sights: string[][] = [];
  for (const source of levels) {
    sights.push([undefined, 'acme', 'globex'].flatMap((owner) => summary(catalog.runbooks(owner))));
    source.say({});
  }
  assert.deepEqual(sights, [
    ['a@cluster cluster', 'a@cluster cluster', 'a@cluster cluster'],
    ['a@git:system/runbooks sovereign', 'a@git:acme/runbooks acme', 'a@git:system/runbooks sovereign'],
    ['a@git:system/runbooks sovereign', 'a@git:system/runbooks sovereign', 'a@git:system/runbooks sovereign'],
    ['a@folder:/etc/runbooks folder', 'a@folder:/etc/runbooks folder', 'a@folder:/etc/runbooks folder'],
    ['a@handbook handbook', 'a@handbook handbook', 'a@handbook handbook'],
  ]);
  assert.deepEqual(catalog.all(), []);
});

test('an Organization sees its own and the Sovereign’s; all() has every one that counts for somebody', async () => {
  const { handbook, acme } = everySource();
  const catalog = await startedCatalog({ sources: [handbook, acme], clock });
  handbook.say({ 'a.yaml': 'Runbook a 1\nRunbook b 1\nIncidentType t 1' });
  acme.say({ 'a.yaml': 'Runbook b 2\nRunbook c 2\nIncidentType t 2' });
  assert.deepEqual(summary(catalog.runbooks('acme')), [
    'a@handbook 1',
    'b@git:acme/runbooks 2',
    'c@git:acme/runbooks 2',
  ]);
  assert.deepEqual(summary(catalog.runbooks(undefined)), ['a@handbook 1', 'b@handbook 1']);
  assert.deepEqual(summary(catalog.runbooks('globex')), ['a@handbook 1', 'b@handbook 1']);
  assert.deepEqual(summary(catalog.all()), [
    'a@handbook 1',
    'b@handbook 1',
    'b@git:acme/runbooks 2',
    'c@git:acme/runbooks 2',
  ]);
  assert.equal(catalog.find('c', 'acme')?.resource.provenance.organization, 'acme');
  assert.equal(catalog.find('c', 'globex'), undefined);
  assert.equal(catalog.find('c', undefined), undefined);
  assert.equal(catalog.find('t', undefined), undefined);
  assert.deepEqual(
    catalog.incidentTypes().map(({ provenance }) => provenance.source),
    ['handbook', 'git:acme/runbooks'],
  );
});

test('documents of a source may belong to different Organizations', async () => {
  const { cluster } = everySource();
  const catalog = await startedCatalog({ sources: [cluster], clock });
  cluster.say({ 'acme-prod/a': 'Runbook a 1', 'ops/a': 'Runbook a 2' }, { organizations: { 'acme-prod/a': 'acme' } });
  assert.deepEqual(summary(catalog.runbooks('acme')), ['a@cluster 1']);
  assert.deepEqual(summary(catalog.runbooks('globex')), ['a@cluster 2']);
  assert.deepEqual(catalog.problems(), []);
  // The same namespace given to another Organization: what is bad now does not serve for the new owner in an old version.
  cluster.say({ 'acme-prod/a': 'Runbook a !', 'ops/a': 'Runbook a 2' }, { organizations: { 'acme-prod/a': 'globex' } });
  assert.deepEqual(summary(catalog.runbooks('globex')), ['a@cluster 2']);
});

test('a document that turns bad goes on serving, and a problem says which version since when', async () => {
  const clock = new VirtualClock(Date.UTC(2026, 0, 5, 12));
  const { sovereign } = everySource();
  const catalog = await startedCatalog({ sources: [sovereign], clock });
  const say = (text: string, revision: string) =>
    sovereign.say({}, { documents: [{ file: 'a.yaml', text, revision }] });
  say('Runbook a 1\nRunbook b 1', 'c0ffee0000000000000000000000000000000001');
  await clock.advance(60_000);
  for (const bad of ['!', '?']) {
    say(`Runbook a ${bad}\nRunbook b 2`, 'c0ffee0000000000000000000000000000000002');
    assert.deepEqual(summary(catalog.all()), ['a@git:system/runbooks 1', 'b@git:system/runbooks 2']);
    const [error, stale] = catalog.problems().toSorted((x, y) => (x.severity < y.severity ? -1 : 1));
    assert.equal(error?.resource, 'Runbook/a');
    assert.equal(error?.severity, 'error');
    assert.equal(stale?.rule, 'last-good-serves');
    assert.match(
      stale?.sentence ?? '',
      /^Runbook\/a: the last good version \(revision c0ffee000000, digest [0-9a-f]{12}\) is still serving, since 2026-01-05T12:00:00.000Z\./,
    );
    assert.equal(catalog.problems().length, 2);
  }
  // Good again: it serves, and nothing is said.
  say('Runbook a 3\nRunbook b 2', 'c0ffee0000000000000000000000000000000003');
  assert.deepEqual(summary(catalog.all()), ['a@git:system/runbooks 3', 'b@git:system/runbooks 2']);
  assert.deepEqual(catalog.problems(), []);
});

test('a document that was never good does not serve', async () => {
  const { folder } = everySource();
  const catalog = await startedCatalog({ sources: [folder], clock });
  folder.say({ 'a.yaml': 'Runbook a !', 'b.yaml': '%%%' });
  assert.deepEqual(catalog.all(), []);
  assert.deepEqual(
    catalog.problems().map(({ file, rule }) => `${file} ${rule}`),
    ['a.yaml step', 'b.yaml wrong'],
  );
});

test('a file that cannot be parsed keeps what it had; a document or file that is deleted goes', async () => {
  const { folder } = everySource();
  const catalog = await startedCatalog({ sources: [folder], clock });
  folder.say({ 'a.yaml': 'Runbook a 1\nRunbook b 1', 'c.yaml': 'Runbook c 1' });
  folder.say({ 'a.yaml': 'Runbook a 2\n%%%\nRunbook b 2', 'c.yaml': 'Runbook c 1' });
  assert.deepEqual(
    summary(catalog.all()).map((text) => text.replace(/@\S+/, '')),
    ['a 2', 'b 1', 'c 1'],
  );
  folder.say({ 'a.yaml': 'Runbook a 2' });
  assert.deepEqual(
    summary(catalog.all()).map((text) => text.replace(/@\S+/, '')),
    ['a 2'],
  );
  folder.say({});
  assert.deepEqual(catalog.all(), []);
  assert.deepEqual(catalog.problems(), []);
});

test('a file or a folder of the source that could not be taken keeps what it had', async () => {
  const { folder } = everySource();
  const catalog = await startedCatalog({ sources: [folder], clock });
  folder.say({ 'a.yaml': 'Runbook a 1', 'sub/b.yaml': 'Runbook b 1', 'subway.yaml': 'Runbook c 1' });
  const problems = ['a.yaml', 'sub'].map((file) => fileProblem(folder.name, file, 'file-too-large', 'Too large.'));
  folder.say({}, { problems });
  assert.deepEqual(
    catalog.all().map(({ resource }) => resource.metadata.name),
    ['a', 'b'],
  );
  assert.equal(catalog.problems().filter(({ rule }) => rule === 'last-good-serves').length, 2);
});

test('two documents of one name in a source: the first by file serves, and a problem names both places', async () => {
  const { folder } = everySource();
  const catalog = await startedCatalog({ sources: [folder], clock });
  folder.say({ 'b.yaml': 'Runbook a 2', 'a.yaml': 'Runbook z 1\nRunbook a 1\nRunbook a 9' });
  assert.deepEqual(summary(catalog.all()), ['a@folder:/etc/runbooks 1', 'z@folder:/etc/runbooks 1']);
  assert.deepEqual(
    catalog.problems().map(({ file, sentence }) => `${file} ${sentence}`),
    [
      'a.yaml Runbook/a stands twice in this file, in lines 2 and 3; the first serves. Remove or rename one.',
      'b.yaml Runbook/a is declared at a.yaml:2 and again at b.yaml:1; the first serves. Remove or rename one.',
    ],
  );
  folder.say({ 'b.yaml': 'Runbook a 2' });
  assert.deepEqual(summary(catalog.all()), ['a@folder:/etc/runbooks 2']);
});

test('of sources of equal precedence the later one wins', async () => {
  const one = saidSource('folder:/one', precedences.folder);
  const two = saidSource('folder:/two', precedences.folder);
  const catalog = await startedCatalog({ sources: [one, two], clock });
  two.say({ 'a.yaml': 'Runbook a 2' });
  one.say({ 'a.yaml': 'Runbook a 1' });
  assert.deepEqual(summary(catalog.all()), ['a@folder:/two 2']);
});

test('listeners see the change whole, once for each change, and never one where nothing changed', async () => {
  const { folder, handbook } = everySource();
  const failures: unknown[] = [];
  const catalog = await startedCatalog({
    sources: [handbook, folder],
    clock,
    onError: (_part, error) => failures.push(error),
  });
  const seen: string[] = [];
  catalog.onChange(() => {
    throw new Error('a listener that fails');
  });
  const end = catalog.onChange(() => seen.push(`${catalog.revision} ${summary(catalog.all()).join(', ')}`));
  const before = catalog.runbooks(undefined);
  handbook.say({ 'a.yaml': 'Runbook a 1\nRunbook b 1' });
  handbook.say({ 'a.yaml': 'Runbook a 1\nRunbook b 1' });
  folder.say({ 'x.yaml': 'Runbook b !' });
  end();
  folder.say({});
  assert.deepEqual(seen, ['1 a@handbook 1, b@handbook 1', '2 a@handbook 1, b@handbook 1']);
  assert.equal(catalog.revision, 3);
  assert.equal(failures.length, 3);
  assert.deepEqual(before, [], 'what a reader holds does not change under its eyes');
});

test('a source is told what became of its files, without what differs from one replica to the next', async () => {
  const { folder } = everySource();
  const catalog = await startedCatalog({ sources: [folder], clock });
  folder.say({ 'a.yaml': 'Runbook a 1', 'b.yaml': 'Runbook b 1' });
  folder.say({ 'a.yaml': 'Runbook a !', 'b.yaml': 'Runbook b 1' });
  assert.deepEqual(
    [...(folder.verdicts ?? [])].map(([file, problems]) => [file, problems.map(({ sentence }) => sentence)]),
    [
      ['a.yaml', ['no such action']],
      ['b.yaml', []],
    ],
  );
  await catalog.stop();
});

test('a source that is away or fails does not keep the product from starting', async () => {
  const clock = new VirtualClock();
  const { handbook, acme } = everySource();
  const broken = saidSource('folder:/broken', precedences.folder, {
    start: () => Promise.reject(new Error('no such thing')),
  });
  const errors: string[] = [];
  const catalog = createCatalog({
    sources: [handbook, broken, acme],
    load,
    compile,
    clock,
    onError: (part) => errors.push(part),
  });
  let started = false;
  const starting = catalog.start().then(() => {
    started = true;
  });
  handbook.say({ 'a.yaml': 'Runbook a 1' });
  await clock.advance(9_999);
  assert.equal(started, false);
  await clock.advance(1);
  await starting;
  assert.deepEqual(summary(catalog.runbooks('acme')), ['a@handbook 1']);
  assert.deepEqual(
    catalog.problems().map(({ source, rule }) => `${source} ${rule}`),
    ['folder:/broken source-failed', 'git:acme/runbooks source-late'],
  );
  assert.deepEqual(errors, ['folder:/broken']);
  acme.say({ 'a.yaml': 'Runbook a 2' });
  assert.deepEqual(summary(catalog.runbooks('acme')), ['a@git:acme/runbooks 2']);
  assert.deepEqual(
    catalog.problems().map(({ rule }) => rule),
    ['source-failed'],
  );
  await catalog.stop();
  acme.say({});
  assert.deepEqual(summary(catalog.runbooks('acme')), ['a@git:acme/runbooks 2']);
});

test('stop while starting ends the wait', async () => {
  const { acme } = everySource();
  const catalog = createCatalog({ sources: [acme], load, compile, clock: new VirtualClock(), onError: () => {} });
  const starting = catalog.start();
  await catalog.stop();
  await starting;
  assert.deepEqual(catalog.problems(), []);
});

test('a push event reaches the sources that read the repository, whatever the case', async () => {
  const { sovereign, acme } = everySource();
  const catalog = await startedCatalog({ sources: [sovereign, acme], clock });
  assert.equal(await catalog.refresh('ACME/Runbooks'), true);
  assert.equal(await catalog.refresh('globex/runbooks'), false);
  assert.deepEqual([sovereign.refreshes, acme.refreshes], [0, 1]);
});

test('a loader or compiler that throws costs one file', async () => {
  const { folder } = everySource();
  const catalog = createCatalog({
    sources: [folder],
    load: (text, origin) => {
      if (text === 'bomb') throw new Error('too deep');
      return load(text, origin);
    },
    compile: (resource) => {
      if (resource.metadata.name === 'mine') throw new Error('boom');
      return resource.metadata.name === 'mute' ? { problems: [] } : compile(resource);
    },
    clock,
    onError: assert.fail,
  });
  const started = catalog.start();
  folder.say({ 'a.yaml': 'bomb', 'b.yaml': 'Runbook mine 1\nRunbook mute 1\nRunbook good 1' });
  await started;
  assert.deepEqual(summary(catalog.all()), ['good@folder:/etc/runbooks 1']);
  assert.deepEqual(
    catalog.problems().map(({ sentence, resource }) => `${resource}: ${sentence}`),
    [
      'undefined: The file could not be read as documents: too deep',
      'Runbook/mine: It could not be compiled: boom',
      'Runbook/mute: It could not be compiled.',
    ],
  );
});

test('problems of whole sources are told beside what still serves', async () => {
  const { acme } = everySource();
  const catalog = await startedCatalog({ sources: [acme], clock });
  acme.say({ 'a.yaml': 'Runbook a 1' });
  acme.say({ 'a.yaml': 'Runbook a 1' }, { problems: [sourceProblem(acme.name, 'source-unreachable', 'Away.')] });
  assert.deepEqual(summary(catalog.runbooks('acme')), ['a@git:acme/runbooks 1']);
  assert.deepEqual(
    catalog.problems().map(({ rule }) => rule),
    ['source-unreachable'],
  );
});

test('any sequence of snapshots gives the catalog of the final good versions', async () => {
  const files = ['a.yaml', 'b.yaml'];
  const names = ['x', 'y', 'z'];
  const text = fc.oneof(
    {
      weight: 8,
      arbitrary: fc.uniqueArray(
        fc.record({ name: fc.constantFrom(...names), body: fc.constantFrom('1', '2', '3', '!', '?') }),
        { selector: ({ name }) => name, maxLength: 3 },
      ),
    },
    { weight: 1, arbitrary: fc.constant(undefined) },
  );
  // Per file: documents, undefined for text that cannot be parsed, or no such file.
  const snapshot = fc.record({
    source: fc.integer({ min: 0, max: 2 }),
    files: fc.dictionary(fc.constantFrom(...files), text),
    backwards: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(snapshot, { maxLength: 12 }), async (snapshots) => {
      const make = () => [
        saidSource('folder', precedences.folder),
        saidSource('git:acme/runbooks', precedences.organizationGit, { organization: 'acme' }),
        saidSource('cluster', precedences.cluster),
      ];
      const lived = make();
      const catalog = await startedCatalog({ sources: lived, clock });
      // The oracle knows versions by source, file and name, and nothing else.
      const good: Map<string, Map<string, string>>[] = [new Map(), new Map(), new Map()];
      for (const { source, files: said, backwards } of snapshots) {
        const entries = Object.entries(said).toSorted(([a], [b]) => byText(a, b));
        if (backwards) entries.reverse();
        lived[source]?.say(
          Object.fromEntries(
            entries.map(([file, documents]) => [
              file,
              documents?.map(({ name, body }) => `Runbook ${name} ${body}`).join('\n') ?? '%%%',
            ]),
          ),
        );
        const before = good[source] ?? new Map();
        good[source] = new Map(
          entries.map(([file, documents]) => {
            const old = before.get(file) ?? new Map<string, string>();
            if (documents === undefined) return [file, old];
            const now = documents.map(({ name, body }): [string, string | undefined] => [
              name,
              /[!?]/.test(body) ? old.get(name) : body,
            ]);
            return [file, new Map(now.filter((entry): entry is [string, string] => entry[1] !== undefined))];
          }),
        );
      }
      const fresh = make();
      const expected = await startedCatalog({ sources: fresh, clock });
      for (const [source, byFile] of good.entries())
        fresh[source]?.say(
          Object.fromEntries(
            [...byFile].map(([file, versions]) => [
              file,
              [...versions].map(([name, body]) => `Runbook ${name} ${body}`).join('\n'),
            ]),
          ),
        );
      for (const owner of [undefined, 'acme', 'globex'])
        assert.deepEqual(summary(catalog.runbooks(owner)), summary(expected.runbooks(owner)));
      assert.deepEqual(summary(catalog.all()), summary(expected.all()));
      const doubles = (of: typeof catalog) => of.problems().filter(({ rule }) => rule === 'declared-twice').length;
      assert.equal(doubles(catalog), doubles(expected));
    }),
    { numRuns: 300 },
  );
});
