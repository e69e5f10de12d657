import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, it } from 'node:test';
import { vocabulary } from '../../test/support/vocabulary.ts';
import { createLanguage } from '../check/language.ts';
import { lintTexts } from './lint.ts';

const root = join(import.meta.dirname, '../..');
const folder = join(root, 'handbook/runbooks');
const language = createLanguage(vocabulary());
const texts = globSync('**/*.yaml', { cwd: folder })
  .sort()
  .map((file) => ({ origin: { source: 'handbook', file }, text: readFileSync(join(folder, file)) }));
const linted = lintTexts(texts, language);

/** Every alert of handbook §4.2. */
const alerts = [
  ...[
    'HighMemoryUsage',
    'PodCrashLoopBackOff',
    'HighErrorRate',
    'DatabaseConnectionExhausted',
    'CertificateExpiringSoon',
  ],
  ...['HighLatency', 'GslbEndpointDown', 'OpenBaoSealed', 'JetstreamLagHigh', 'VLLMHighLatency', 'VLLMOOMKilled'],
  ...['GPUUtilizationLow', 'GPUMemoryExhausted', 'MilvusQuerySlow', 'EmbeddingQueueBacklog', 'RAGRetrievalEmpty'],
  ...['LLMGatewayQuotaExhausted', 'KeycloakHighLatency', 'QuotaServiceDown', 'BillingWebhookFailed', 'TPPCertExpiring'],
];

describe('the built-in runbooks', () => {
  it('are sound, without a warning', () => assert.deepEqual(linted.problems, []));

  it('answer every alert of handbook §4.2, each one', () => {
    const answered = linted.runbooks.flatMap((r) => r.triggers.map((t) => (t.kind === 'alert' ? t.alertName : '')));
    assert.deepEqual(answered.toSorted(), alerts.toSorted());
  });

  for (const runbook of linted.runbooks) {
    const { name } = runbook.resource.metadata;
    it(`${name} has the name of its file and a test`, () => {
      assert.equal(basename(runbook.resource.provenance.file), `${name}.yaml`);
      assert.ok(
        linted.tests.some((t) => t.spec.runbook === name),
        'no test is written for it',
      );
    });
    if (name === 'openbao-sealed') continue;
    it(`${name} says what it is for, when it acts, and when not`, () => {
      const { spec } = runbook.resource;
      assert.match(spec.description ?? '', /Handbook section \d/);
      assert.ok(runbook.preconditions.length > 0 && runbook.preconditions.every((p) => p.description !== ''));
      assert.ok(spec.guards?.cooldown && spec.guards.maxRuns);
      for (const step of spec.steps) if ('verify' in step) assert.ok(step.for && step.within);
    });
  }

  it('hold the example of handbook §14 byte for byte', (t) => {
    const shipped = readFileSync(join(folder, 'openbao-sealed.yaml'), 'utf8');
    const copy = readFileSync(join(root, 'test/fixtures/runbooks/good/handbook-section-14.yaml'), 'utf8');
    assert.equal(shipped, copy);
    const handbook = ['../shared/handbook/SRE.md', '../../shared/handbook/SRE.md']
      .map((path) => join(root, path))
      .find((path) => existsSync(path));
    if (!handbook) return t.diagnostic('The handbook is not beside the repository: compared with its copy only.');
    const blocks = [...readFileSync(handbook, 'utf8').matchAll(/```yaml\n(.*?)```/gs)].map((m) => m[1]);
    assert.ok(blocks.includes(shipped), 'the handbook has another example');
  });
});

describe('the PromQL of the built-in runbooks', () => {
  for (const runbook of linted.runbooks)
    it(`${runbook.resource.metadata.name} puts labels in as quoted values only`, () => {
      const text = runbook.steps.map((s) => (s.kind === 'verify' ? s.check.source : '')).join('\n');
      assert.doesNotMatch(text, /\+ alert\.labels/);
    });
});
