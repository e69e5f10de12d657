import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type Answers, vocabulary } from '../../test/support/vocabulary.ts';
import type { Scope } from '../check/check.ts';
import { createFactReader } from '../check/fact-reader.ts';
import { createLanguage } from '../check/language.ts';
import { VirtualClock } from '../clock.ts';
import type { Json } from '../integrations/contract.ts';
import type { Runbook, RunbookSpec } from './kinds/runbook.ts';
import { apiVersion } from './resource.ts';
import { compileRunbook } from './runbook-compile.ts';

const language = createLanguage(vocabulary());

function runbook(spec: Partial<RunbookSpec>): Runbook {
  return {
    apiVersion,
    kind: 'Runbook',
    metadata: { name: 'a-runbook' },
    spec: { steps: [{ run: 'notify page --message hello' }], ...spec },
    provenance: { source: 'folder:/x', file: 'a.yaml', line: 7, digest: '0' },
  };
}

const compile = (spec: Partial<RunbookSpec>) => compileRunbook(runbook(spec), language);
const compileRun = (run: string, more: Partial<RunbookSpec> = {}, withInput?: Record<string, unknown>) =>
  compile({ ...more, steps: [{ run, ...(withInput ? { with: withInput } : {}) }] });

function scopeWith(labels: Record<string, string>, more: Partial<Scope> = {}): Scope {
  const alert = { name: 'A', labels, annotations: {}, startsAt: 0, fingerprint: 'f' };
  const target = { apiVersion: 'apps/v1', kind: 'Deployment', namespace: 'shop', name: 'cart', uid: 'u' };
  return { alert, target, ...more };
}

async function input(
  run: string,
  {
    withInput,
    scope = scopeWith({}),
    spec,
    answers = {},
  }: { withInput?: Record<string, unknown>; scope?: Scope; spec?: Partial<RunbookSpec>; answers?: Answers } = {},
) {
  const own = createLanguage(vocabulary(answers));
  const resource = runbook({ ...spec, steps: [{ run, ...(withInput ? { with: withInput } : {}) }] });
  const { runbook: compiled, problems } = compileRunbook(resource, own);
  assert.ok(compiled, JSON.stringify(problems));
  const step = compiled.steps[0];
  assert.ok(step?.kind === 'run');
  const reader = createFactReader({ clock: new VirtualClock(), signal: new AbortController().signal });
  const resolved = await step.call.resolve(scope, reader);
  return resolved.ok ? resolved.input : resolved.error.message;
}

describe('the run line', () => {
  const target = { kind: 'Deployment', namespace: 'shop', name: 'cart' };
  const cases: [string, Json][] = [
    ['openbao operator unseal --auto-shamir', { autoShamir: true }],
    ['openbao operator unseal --auto-shamir=false', { autoShamir: false }],
    ['openbao operator unseal', {}],
    ['kubernetes scale Deployment shop cart --replicas +1', { ...target, replicas: '+1' }],
    ['kubernetes scale Deployment shop cart --replicas -1', { ...target, replicas: '-1' }],
    ['kubernetes scale Deployment shop cart --replicas=3 --max 10', { ...target, replicas: 3, max: 10 }],
    ['kubernetes scale --replicas 3 Deployment shop -- cart', { ...target, replicas: 3 }],
    ['kubernetes delete pod shop 007', { namespace: 'shop', name: '007' }],
    [`notify page --message "it's \\"down\\" \\\\ now"`, { message: `it's "down" \\ now` }],
    [`notify page --message 'a\\b "c"'`, { message: 'a\\b "c"' }],
    [`notify page --message=a" b "c`, { message: 'a b c' }],
    ['notify   page\n --message\tx', { message: 'x' }],
    ['gitea dispatch acme/platform renew.yaml', { repository: 'acme/platform', workflow: 'renew.yaml', ref: 'main' }],
    [
      'http request GET https://x/ --header a:b --header c:d',
      { method: 'GET', url: 'https://x/', header: ['a:b', 'c:d'] },
    ],
    ['http request GET https://x/ --header a:b', { method: 'GET', url: 'https://x/', header: ['a:b'] }],
  ];
  for (const [run, expected] of cases) it(run, async () => assert.deepEqual(await input(run), expected));

  it('fills in placeholders with their types, and texts as words', async () => {
    const run =
      'kubernetes scale ${{ target.kind }} ${{ target.namespace }} x-${{target.name}} --replicas ${{ 2 + 1 }}';
    const spec = { target: { kind: 'Deployment', name: 'cart' } };
    assert.deepEqual(await input(run, { spec }), { ...target, name: 'x-cart', replicas: 3 });
    const fromLabel = 'kubernetes scale Deployment shop cart --replicas ${{ alert.labels.n }}';
    assert.deepEqual(await input(fromLabel, { scope: scopeWith({ n: '4' }) }), { ...target, replicas: 4 });
    assert.deepEqual(await input('notify page --message ${{ 3 }}'), { message: '3' });
  });

  it('takes values from with, typed as YAML has them', async () => {
    const withInput = { patch: { spec: { replicas: '${{ inputs.n }}', paused: false, note: 'n is ${{ inputs.n }}' } } };
    const spec: Partial<RunbookSpec> = { inputs: { n: { type: 'int' } } };
    const scope = scopeWith({}, { inputs: { n: 5 } });
    assert.deepEqual(await input('kubernetes patch Deployment shop cart', { withInput, spec, scope }), {
      ...target,
      patch: { spec: { replicas: 5, paused: false, note: 'n is 5' } },
    });
  });

  it('says so when a placeholder does not fit after all, or cannot be filled in', async () => {
    const run = 'kubernetes scale Deployment shop cart --replicas ${{ alert.labels.n }}';
    assert.match(String(await input(run, { scope: scopeWith({ n: 'many' }) })), /cannot be called so: replicas/);
    assert.match(String(await input(run, { scope: scopeWith({}) })), /There is no n in it/);
  });

  it('keeps any label one piece of text, never evaluated and never a flag', async () => {
    const hostile = fc.oneof(
      fc.string({ unit: 'binary', minLength: 1, maxLength: 60 }),
      fc.constantFrom(
        '--replicas=0',
        '--max',
        '"',
        "'",
        '${{ 1 + 1 }}',
        '}}',
        '$(reboot)',
        '; rm -rf /',
        'a b',
        '\n',
        '--',
        '\\',
      ),
    );
    await fc.assert(
      fc.asyncProperty(hostile, hostile, async (a, b) => {
        const run = 'kubernetes scale Deployment ${{alert.labels.a}} "x ${{ alert.labels.b }}" --replicas 1';
        const resolved = await input(run, { scope: scopeWith({ a, b }) });
        assert.deepEqual(resolved, { kind: 'Deployment', namespace: a, name: `x ${b}`, replicas: 1 });
      }),
      { numRuns: 300 },
    );
  });

  const refused: [string, string, RegExp][] = [
    [
      'kubernetes scal Deployment a b',
      'unknown-action',
      /Did you mean kubernetes scale\? kubernetes has: scale, restart/,
    ],
    ['kubectl delete pod x', 'unknown-action', /There are actions of kubernetes, openbao/],
    ['openbao operator unseal --auto-shamr', 'unknown-flag', /Did you mean --auto-shamir\?/],
    [
      'kubernetes restart Deployment shop',
      'missing-input',
      /needs the word NAME. Write: kubernetes restart KIND NAMESPACE NAME/,
    ],
    ['kubernetes restart Deployment shop a b', 'too-many-words', /no place for this word/],
    ['kubernetes scale Deployment shop a', 'missing-input', /needs --replicas/],
    ['kubernetes scale Deployment shop a --replicas', 'missing-value', /--replicas VALUE/],
    ['kubernetes scale Deployment shop a --replicas many', 'wrong-input', /replicas/],
    ['kubernetes scale Deployment shop a --replicas 1 --max 0', 'wrong-input', /max must be 1 or more/],
    ['kubernetes scale Deployment shop a --replicas 1 --replicas 2', 'given-twice', /given twice/],
    ['kubernetes scale Deployment shop a --replicas ${{ [1] }}', 'wrong-input', /of type list<int>/],
    ['http request FETCH https://x', 'wrong-input', /one of GET, POST, PUT, DELETE/],
    ['notify page --message "x', 'template-syntax', /quote is never closed/],
    ['notify page --message ${{ alert.name', 'template-syntax', /never closed/],
    ['notify page --message ${{ alert.nam }}', 'check-type', /no nam/],
  ];
  for (const [run, rule, sentence] of refused)
    it(`refuses ${run}`, () => {
      const { runbook: compiled, problems } = compileRun(run);
      assert.equal(compiled, undefined);
      assert.deepEqual(
        problems.filter((p) => p.severity === 'error').map((p) => p.rule),
        [rule],
      );
      assert.match(problems[0]?.sentence ?? '', sentence);
      assert.deepEqual(
        [problems[0]?.line, problems[0]?.file, problems[0]?.resource],
        [7, 'a.yaml', 'Runbook/a-runbook'],
      );
    });

  it('never throws, whatever the line', () => {
    const pieces = [
      'kubernetes',
      'scale',
      ' ',
      '--replicas',
      '=',
      '"',
      "'",
      '${{',
      '}}',
      'alert.name',
      '\\',
      '--',
      '1',
      '{',
      'openbao operator unseal',
    ];
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          fc.array(fc.constantFrom(...pieces)).map((p) => p.join('')),
        ),
        (run) => {
          const { runbook: compiled, problems } = compileRun(run);
          assert.equal(
            compiled === undefined,
            problems.some((p) => p.severity === 'error'),
          );
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe('a runbook', () => {
  it('gets its defaults', () => {
    const { runbook: compiled, problems } = compile({
      triggers: [{ alertName: 'A' }],
      steps: [
        { run: 'openbao operator unseal --auto-shamir' },
        { verify: 'openbao.status.sealed == false' },
        { wait: '1h30m' },
        { approve: {} },
      ],
    });
    assert.deepEqual(problems, []);
    assert.ok(compiled);
    const { resource, steps, triggers, ...rest } = compiled;
    assert.deepEqual(rest, {
      mode: undefined,
      priority: 0,
      target: undefined,
      preconditions: [],
      rollback: { kind: 'pageOncall' },
      guards: {
        cooldown: 300_000,
        maxRuns: { count: 3, per: 3_600_000 },
        concurrencyKey: undefined,
        queueFor: 600_000,
      },
    });
    assert.deepEqual(triggers, [{ kind: 'alert', alertName: 'A', matchers: [] }]);
    const plain = steps.map((s) => Object.fromEntries(Object.entries(s).filter(([, v]) => typeof v !== 'object')));
    assert.deepEqual(plain, [
      {
        kind: 'run',
        name: 'openbao operator unseal --auto-shamir',
        line: 7,
        timeout: 60_000,
        attempts: 1,
        backoff: 2000,
      },
      {
        kind: 'verify',
        name: 'Verify openbao.status.sealed == false',
        line: 7,
        for: 0,
        within: 300_000,
        every: 15_000,
      },
      { kind: 'wait', name: 'Wait 1h30m', line: 7, wait: 5_400_000 },
      {
        kind: 'approve',
        name: 'Approval by sovereign-admin',
        line: 7,
        role: 'sovereign-admin',
        within: 3_600_000,
        reason: '',
      },
    ]);
  });

  it('resolves its target', async () => {
    const { runbook: compiled } = compile({
      target: { kind: 'Pod', namespace: '${{ alert.labels.namespace }}', name: 'x' },
    });
    const reader = createFactReader({ clock: new VirtualClock(), signal: new AbortController().signal });
    const evaluation = await compiled?.target?.evaluate(scopeWith({ namespace: 'shop' }), reader);
    assert.deepEqual(evaluation?.ok && evaluation.value, {
      apiVersion: 'v1',
      kind: 'Pod',
      namespace: 'shop',
      name: 'x',
    });
  });

  const effect = { run: 'kubernetes restart Deployment shop cart' };
  const verify = { verify: 'spire.server.healthy' };
  const target = { kind: 'Deployment', namespace: 'shop', name: 'cart' };
  const rules: [rule: string, severity: string, spec: Partial<RunbookSpec>][] = [
    ['trigger-needs-one', 'error', { triggers: [{}] }],
    ['trigger-needs-one', 'error', { triggers: [{ alertName: 'A', incident: 'B' }] }],
    ['bad-matcher', 'error', { triggers: [{ alertName: 'A', matchers: ['severity'] }] }],
    ['bad-matcher', 'error', { triggers: [{ alertName: 'A', matchers: ['a=~"("'] }] }],
    ['bad-schedule', 'error', { triggers: [{ schedule: '0 2 * *' }] }],
    ['bad-schedule', 'error', { triggers: [{ schedule: '0 0 2 * * *' }] }],
    ['trigger-never-matches', 'error', { triggers: [{ schedule: '0 0 31 2 *' }] }],
    ['bad-time-zone', 'error', { triggers: [{ schedule: '0 2 * * *', timeZone: 'Mars/Olympus' }] }],
    ['time-zone-without-schedule', 'error', { triggers: [{ alertName: 'A', timeZone: 'UTC' }] }],
    ['matchers-without-alert', 'error', { triggers: [{ schedule: '0 2 * * *', matchers: ['a=b'] }] }],
    ['trigger-never-matches', 'warning', { triggers: [{ alertName: 'A', matchers: ['a=b', 'a=~"x.*"'] }] }],
    ['trigger-never-matches', 'warning', { triggers: [{ alertName: 'A', matchers: ['alertname="B"'] }] }],
    [
      'input-default',
      'error',
      { inputs: { n: { type: 'int', default: 'x' } }, preconditions: [{ check: 'inputs.n > 1' }] },
    ],
    ['unused-input', 'warning', { inputs: { n: { type: 'int' } } }],
    ['check-not-bool', 'error', { preconditions: [{ check: 'alert.name' }] }],
    ['unknown-fact', 'error', { preconditions: [{ check: 'spire.server.helthy' }] }],
    ['unknown-rollback', 'error', { rollback: 'undo-everything' }],
    ['target-api-version', 'error', { target: { kind: 'Gslb', name: 'x' } }],
    ['target-missing', 'error', { preconditions: [{ check: 'target.name == "x"' }] }],
    ['target-reads-itself', 'error', { target: { ...target, name: '${{ target.uid }}' } }],
    ['target-missing', 'warning', { steps: [effect, verify] }],
    [
      'alert-not-available',
      'warning',
      { triggers: [{ schedule: '0 2 * * *' }], preconditions: [{ check: 'alert.name == "x"' }] },
    ],
    ['verify-missing', 'warning', { target, steps: [verify, effect] }],
    ['verify-cannot-succeed', 'error', { steps: [{ ...verify, for: '2m', within: '1m' }] }],
    ['verify-cannot-succeed', 'error', { steps: [{ ...verify, for: '10m' }] }],
    ['verify-looks-once', 'warning', { steps: [{ ...verify, within: '1m', every: '2m' }] }],
    ['bad-duration', 'error', { steps: [{ wait: '9999d' }] }],
    ['bad-duration', 'error', { steps: [{ ...verify, every: '0s' }] }],
    [
      'duplicate-step-name',
      'warning',
      {
        steps: [
          { ...verify, name: 'a' },
          { ...verify, name: 'a' },
        ],
      },
    ],
    ['approval-in-suggest', 'warning', { mode: 'Suggest', steps: [{ approve: {} }] }],
    [
      'irreversible-unapproved',
      'warning',
      { mode: 'Automatic', target, steps: [{ run: 'kubernetes delete pod a b' }, verify] },
    ],
  ];
  for (const [rule, severity, spec] of rules)
    it(`${rule} (${severity}) ${JSON.stringify(spec).slice(0, 70)}`, () => {
      const { runbook: compiled, problems } = compile(spec);
      assert.deepEqual(
        problems.map((p) => [p.rule, p.severity]),
        [[rule, severity]],
        JSON.stringify(problems),
      );
      assert.equal(compiled === undefined, severity === 'error');
    });

  it('is content with approval before what cannot be undone', () => {
    const steps = [{ approve: {} }, { run: 'kubernetes delete pod a b' }, verify];
    assert.deepEqual(compile({ mode: 'Automatic', target, steps }).problems, []);
  });
});
