import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { VirtualClock } from '../clock.ts';
import { CatalystError } from '../errors.ts';
import type { FactDefinition, FactType, Json } from '../integrations/contract.ts';
import { ExpressionError, type Scope } from './check.ts';
import { createFactReader } from './fact-reader.ts';
import { createLanguage } from './language.ts';

/** A fact answered from `answers`: a value, or an error when it is one. */
function fact(
  name: string,
  returns: FactType,
  answers: Map<string, Json | Error>,
  parameters?: FactType[],
): FactDefinition {
  return {
    name,
    description: name,
    returns,
    example: null,
    ...(parameters ? { parameters: parameters.map((type, i) => ({ name: `p${i}`, type, description: '' })) } : {}),
    read: async (_context, args) => {
      const answer = answers.get(parameters ? `${name}(${args.map((a) => JSON.stringify(a)).join(',')})` : name);
      if (answer === undefined) throw new CatalystError('NotFound', `nobody said what ${name} is`);
      if (answer instanceof Error) throw answer;
      return answer;
    },
  };
}

function world(answers: Record<string, Json | Error> = {}) {
  const known = new Map(Object.entries(answers));
  const facts = [
    fact('openbao.status.sealed', 'bool', known),
    fact('openbao.status.sealedPods', 'list<string>', known),
    fact('openbao.reachable', 'bool', known),
    fact('spire.server.healthy', 'bool', known),
    fact('prometheus.query', 'double', known, ['string']),
    fact('prometheus.queryOr', 'double', known, ['string', 'double']),
    fact('kubernetes.podsReady', 'int', known, ['string', 'string']),
    fact('kubernetes.pods', 'list<dyn>', known, ['string', 'string']),
    fact('kubernetes.deployment', 'map<string, dyn>', known, ['string', 'string']),
    fact('backup.last.at', 'timestamp', known),
  ];
  const language = createLanguage({ facts: new Map(facts.map((f) => [f.name, f])), actions: new Map() });
  const reader = createFactReader({ clock: new VirtualClock(), signal: new AbortController().signal });
  return { language, reader };
}

const scope: Scope = {
  alert: {
    name: 'HighMemoryUsage',
    labels: { severity: 'critical', namespace: 'shop', 'weird-label': 'x' },
    annotations: {},
    startsAt: Date.UTC(2026, 0, 5, 12),
    fingerprint: 'abc',
  },
  steps: { look: { result: { n: 2, names: ['a', 'b'] } } },
};

async function value(source: string, answers: Record<string, Json | Error> = {}) {
  const { language, reader } = world(answers);
  const evaluation = await language.expression(source).evaluate(scope, reader);
  return evaluation.ok ? evaluation.value : evaluation.error;
}

function refusal(source: string): ExpressionError {
  try {
    world().language.check(source);
  } catch (error) {
    assert.ok(error instanceof ExpressionError, `${source} threw ${String(error)}`);
    return error;
  }
  throw new assert.AssertionError({ message: `${source} was accepted` });
}

describe('what an expression comes to', () => {
  const cases: [string, Json, Record<string, Json>?][] = [
    ['openbao.status.sealed == false', true, { 'openbao.status.sealed': false }],
    ['spire.server.healthy', true, { 'spire.server.healthy': true }],
    ['prometheus.query("up") > 0.5', true, { 'prometheus.query("up")': 1 }],
    ['prometheus.query("up") > 0', true, { 'prometheus.query("up")': 1 }],
    ['prometheus.queryOr("up", 0.0) == 0.5', true, { 'prometheus.queryOr("up",0)': 0.5 }],
    ['kubernetes.podsReady("a", "b") + 1', 4, { 'kubernetes.podsReady("a","b")': 3 }],
    [
      'kubernetes.pods(alert.labels.namespace, "app=x").all(p, p.ready && p.restarts < 3)',
      true,
      { 'kubernetes.pods("shop","app=x")': [{ ready: true, restarts: 1 }] },
    ],
    ['kubernetes.deployment("a", "b").replicas == 3', true, { 'kubernetes.deployment("a","b")': { replicas: 3 } }],
    ['int(kubernetes.deployment("a", "b").replicas) + 1', 4, { 'kubernetes.deployment("a","b")': { replicas: 3 } }],
    ['"replicas" in kubernetes.deployment("a", "b")', false, { 'kubernetes.deployment("a","b")': {} }],
    ['openbao.status.sealedPods.size()', 1, { 'openbao.status.sealedPods': ['openbao-0'] }],
    ['openbao.status.sealedPods[0]', 'openbao-0', { 'openbao.status.sealedPods': ['openbao-0'] }],
    ['openbao.status.sealedPods', ['openbao-0'], { 'openbao.status.sealedPods': ['openbao-0'] }],
    ['backup.last.at > timestamp("2026-01-01T00:00:00Z")', true, { 'backup.last.at': '2026-01-02T00:00:00Z' }],
    ['backup.last.at', '1970-01-01T00:00:01.000Z', { 'backup.last.at': 1000 }],
    // A macro's variable hides a fact of the same name.
    ['[1, 2].exists(openbao, openbao > 1)', true],
    ['[{"status": {"sealed": 5}}].exists(openbao, openbao.status.sealed == 5)', true],
    ['alert.labels["weird-label"] == "x"', true],
    ['has(alert.labels.nope) ? alert.labels.nope : "none"', 'none'],
    ['alert.startsAt.getFullYear()', 2026],
    ['steps.look.result.names.map(n, n + "!")', ['a!', 'b!']],
    ['steps["look"].result.n == 2', true],
    ['re2(alert.name, "^High.*Usage$")', true],
    ['re2("aaaaaaaaaaaaaaaaaaaaaaaaaaaa!", "^(a+)+$")', false],
    ['glob(alert.name, "High*Usage")', true],
    ['glob("a.b", "a?b") && !glob("ab", "a.b")', true],
    [`'up{a=' + quoted('x"} or vector(0) #\\\\') + '}'`, 'up{a="x\\"} or vector(0) #\\\\"}'],
    ['readable(openbao.reachable)', false],
    ['readable(openbao.reachable)', true, { 'openbao.reachable': false }],
    ['1 in [1, 2] && "a" != "b" && 7 / 2 == 3 && 7 % 4 == 3', true],
  ];
  for (const [source, expected, answers] of cases)
    it(source, async () => assert.deepEqual(await value(source, answers), expected));
});

describe('reading facts', () => {
  it('reads nothing that does not matter, and each fact once', async () => {
    const down = new CatalystError('UpstreamUnavailable', 'down');
    const { language, reader } = world({ 'openbao.status.sealed': true, 'spire.server.healthy': down });
    const check = language.check('openbao.status.sealed || spire.server.healthy || openbao.status.sealed');
    assert.deepEqual(check.facts, ['openbao.status.sealed', 'spire.server.healthy']);
    const evaluation = await check.evaluate({}, reader);
    assert.equal(evaluation.ok && evaluation.value, true);
    assert.deepEqual(
      evaluation.readings.map((r) => [r.fact, r.value]),
      [['openbao.status.sealed', true]],
    );
  });

  it('lets an error be absorbed by what decides anyway', async () => {
    const down = new CatalystError('UpstreamUnavailable', 'down');
    const answers = { 'openbao.status.sealed': true, 'spire.server.healthy': down };
    assert.equal(await value('spire.server.healthy || openbao.status.sealed', answers), true);
    assert.equal(await value('false && spire.server.healthy', answers), false);
    assert.equal(await value('spire.server.healthy && false', answers), false);
  });

  it('makes an unknown fact an error, never a default, with its own code and the reading', async () => {
    const down = new CatalystError('UpstreamUnavailable', 'SPIRE did not answer.');
    const { language, reader } = world({ 'spire.server.healthy': down });
    for (const source of ['spire.server.healthy', '!spire.server.healthy', 'spire.server.healthy == false']) {
      const evaluation = await language.check(source).evaluate({}, reader);
      assert.ok(!evaluation.ok);
      assert.equal(evaluation.error, down);
      assert.deepEqual(
        evaluation.readings.map((r) => [r.fact, r.error]),
        [['spire.server.healthy', 'SPIRE did not answer.']],
      );
    }
    assert.equal(reader.readings.length, 1, 'the reader asked again');
  });

  it('refuses values that are not what the fact promises', async () => {
    const wrong = [
      ['openbao.status.sealed', { 'openbao.status.sealed': 'false' }, /is a string where true or false was promised/],
      [
        'kubernetes.podsReady("", "") > 1',
        { 'kubernetes.podsReady("","")': 1.5 },
        /the number 1.5 where a whole number/,
      ],
      ['prometheus.query("x") > 1.0', { 'prometheus.query("x")': Number.NaN }, /NaN where a finite number/],
      [
        'kubernetes.pods("", "").size() > 1',
        { 'kubernetes.pods("","")': Array.from({ length: 5000 }, () => 1) },
        /more than 2000 entries/,
      ],
    ] as const;
    for (const [source, answers, sentence] of wrong) {
      const error = await value(source, answers as unknown as Record<string, Json>);
      assert.ok(error instanceof CatalystError, source);
      assert.match(error.message, sentence);
    }
  });

  it('gives up on a fact that does not answer in time', async () => {
    const clock = new VirtualClock();
    let aborted = false;
    const slow: FactDefinition = {
      ...fact('slow.fact', 'bool', new Map()),
      read: ({ signal }) =>
        new Promise(() => {
          signal.addEventListener('abort', () => {
            aborted = true;
          });
        }),
    };
    const language = createLanguage({ facts: new Map([['slow.fact', slow]]), actions: new Map() });
    const reader = createFactReader({ clock, signal: new AbortController().signal, limit: 3000 });
    const pending = language.check('slow.fact').evaluate({}, reader);
    await clock.advance(3000);
    const evaluation = await pending;
    assert.ok(!evaluation.ok);
    assert.equal(evaluation.error.code, 'TimedOut');
    assert.equal(reader.readings[0]?.took, 3000);
    assert.ok(aborted, 'the request was left running');
  });

  it('stops with the caller', async () => {
    const stop = new AbortController();
    const never: FactDefinition = { ...fact('slow.fact', 'bool', new Map()), read: () => new Promise(() => {}) };
    const language = createLanguage({ facts: new Map([['slow.fact', never]]), actions: new Map() });
    const reader = createFactReader({ clock: new VirtualClock(), signal: stop.signal });
    const pending = language.check('slow.fact').evaluate({}, reader);
    stop.abort(new Error('shutting down'));
    const evaluation = await pending;
    assert.ok(!evaluation.ok);
    assert.match(evaluation.error.message, /shutting down/);
  });
});

describe('what is refused when it is loaded', () => {
  const cases: [source: string, rule: string, offset: number, sentence: RegExp][] = [
    [
      'openbao.status.seald == false',
      'unknown-fact',
      0,
      /no fact openbao.status.seald. Did you mean openbao.status.sealed\?/,
    ],
    ['true && openbao.status', 'unknown-fact', 8, /not a fact by itself. It holds openbao.status.sealed/],
    ['openbao.constructor', 'unknown-fact', 0, /no fact openbao.constructor/],
    ['openbao.toString() == ""', 'unknown-fact', 0, /no fact openbao.toString/],
    ['prometheus.query > 1.0', 'unknown-fact', 0, /asked with arguments: prometheus.query\(p0: string\)/],
    ['openbao.status.sealed()', 'unknown-fact', 0, /write it without parentheses/],
    ['prometheus.query() > 1.0', 'check-type', 0, /takes 1 argument/],
    ['prometheus.query(1) > 1.0', 'unknown-function', 0, /prometheus.query\(int\)/],
    ['has(openbao.status.sealed)', 'check-type', 0, /readable\(openbao.status.sealed\)/],
    ['alrt.labels.x == "y"', 'unknown-variable', 0, /Did you mean alert\?/],
    ['inputs.x == "y"', 'unknown-variable', 0, /no variable inputs/],
    ['alert.lables.x == "y"', 'check-type', 6, /no lables/],
    ['alert.name', 'check-not-bool', 0, /of type string/],
    ['openbao.status.sealedPods', 'check-not-bool', 0, /list<string>/],
    ['alert.name.matches("^(a+)+$")', 'regex-not-re2', 0, /re2\(text, "pattern"\)/],
    ['re2(alert.name, "(?=x)")', 'regex-not-re2', 16, /not an RE2/],
    ['prometheus.query("x") == 0', 'check-type', 0, /Write the whole number as a double/],
    ['1 +', 'check-syntax', 3, /EOF/],
    ['', 'check-syntax', 0, /empty/],
    ['"abc', 'check-syntax', 0, /nterminated/],
    ['foo(1)', 'unknown-function', 0, /no function foo\(int\)/],
    ['cel.bind(a, [1], a == a)', 'unknown-function', 0, /cel.bind/],
    [`${'('.repeat(100)}true${')'.repeat(100)}`, 'check-too-large', 32, /maxDepth/],
    [
      Array.from({ length: 600 }, () => '1')
        .join('+')
        .concat(' > 0'),
      'check-too-large',
      1000,
      /maxAstNodes/,
    ],
    ['x'.repeat(5000), 'check-too-large', 0, /4096/],
    [
      'kubernetes.pods("", "").all(p, kubernetes.pods("", "").all(q, p.name != q.name))',
      'check-too-costly',
      0,
      /lists inside lists/,
    ],
  ];
  for (const [source, rule, offset, sentence] of cases)
    it(`${rule}: ${source.slice(0, 60)}`, () => {
      const error = refusal(source);
      assert.equal(error.rule, rule, error.message);
      assert.match(error.message, sentence);
      if (rule !== 'check-too-large') assert.equal(error.offset, offset);
    });

  it('knows the inputs a runbook declares', async () => {
    const { language, reader } = world();
    const own = language.withInputs({ replicas: 'int', region: 'string' });
    const evaluation = await own.expression('inputs.replicas + 1').evaluate({ inputs: { replicas: 2 } }, reader);
    assert.equal(evaluation.ok && evaluation.value, 3);
    assert.throws(() => own.check('inputs.replica > 1'), /no replica/);
    assert.throws(() => own.check('inputs.region > 1'), ExpressionError);
  });
});

describe('whatever is written', () => {
  const pieces = [
    ...[
      'openbao.status.sealed',
      'openbao',
      'prometheus.query(',
      'alert',
      '.labels',
      '.x',
      '(',
      ')',
      '[',
      ']',
      '{',
      '}',
    ],
    ...['"', "'", '"a"', '1', '0.5', '-', '!', '&&', '||', '?', ':', '==', '<', ' in ', ',', '+', '/', '%', '.map(x, '],
    ...['.all(x, ', 'x', 'has(', 'readable(', 're2(', '__proto__', 'constructor', 'null', 'true', '\\', '\n', '//'],
    ...['9223372036854775807', 'timestamp(', 'duration("1s")', '.size()', 'type(', 'r"', '"""', '[0]', '.matches('],
  ];
  const sources = fc.oneof(
    fc.array(fc.constantFrom(...pieces), { maxLength: 25 }).map((p) => p.join('')),
    fc.string({ unit: 'binary', maxLength: 200 }),
  );

  it('only ever throws ExpressionError, inside the text, and evaluates to an answer or an error', async () => {
    const { language, reader } = world({ 'openbao.status.sealed': true });
    await fc.assert(
      fc.asyncProperty(sources, async (source) => {
        let expression: ReturnType<typeof language.expression>;
        try {
          expression = language.expression(source);
        } catch (error) {
          assert.ok(error instanceof ExpressionError, String(error instanceof Error ? error.stack : error));
          assert.ok(error.offset >= 0 && error.offset <= source.length);
          assert.ok(error.message.length > 0 && !error.message.includes('undefined'));
          return;
        }
        const evaluation = await expression.evaluate(scope, reader);
        if (!evaluation.ok) assert.ok(evaluation.error instanceof CatalystError);
        else JSON.stringify(evaluation.value);
      }),
      { numRuns: 3000 },
    );
  });

  it('is done within the bound, even at the largest cost that is accepted', async () => {
    const pods = Array.from({ length: 2000 }, (_, i) => ({ name: `pod-${i}`, ready: true, restarts: i }));
    const { language, reader } = world({ 'kubernetes.pods("","")': pods, 'kubernetes.pods("b","")': pods.slice(0, 9) });
    const dear = 'kubernetes.pods("", "").all(p, ['.concat(
      Array.from({ length: 60 }, (_, i) => `p.restarts != ${i + 5000}.0`).join(', '),
      '].all(b, b))',
    );
    const started = performance.now();
    const evaluation = await language.check(dear).evaluate({}, reader);
    assert.equal(evaluation.ok && evaluation.value, true);
    // Ten times what it takes on a slow machine.
    assert.ok(performance.now() - started < 5000);
  });
});
