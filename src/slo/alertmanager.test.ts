import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { load } from 'js-yaml';
import { alertmanagerFiles, defaultAlertmanagerOptions } from './alertmanager.ts';
import { isAlertmanagerConfiguration, lintAlertmanager } from './alertmanager-lint.ts';
import { declaredAlerts } from './answer-lint.ts';
import { lintWith, root } from './slo-fixture.ts';

const handbook = lintWith();
const alerts = declaredAlerts(handbook);
const lint = (text: string) => lintAlertmanager(text, { source: 'files', file: 'alertmanager.yml' }, alerts);
const outside = { ...defaultAlertmanagerOptions, heartbeatUrl: 'https://heartbeat.example.org/catalyst' };
const fixture = readFileSync(join(root, 'test/fixtures/slo/handbook-section-12.yaml'), 'utf8');

describe('the configuration of handbook §12, as printed', () => {
  it('is the one of the handbook', (t) => {
    const path = ['../shared/handbook/SRE.md', '../../shared/handbook/SRE.md']
      .map((p) => join(root, p))
      .find(existsSync);
    if (!path) return t.diagnostic('The handbook is not beside the repository: the copy is not compared.');
    assert.ok(readFileSync(path, 'utf8').includes(fixture));
  });

  it('is told each of its defects, with the line', () => {
    const found = lint(fixture).map(({ rule, line }) => `${rule}:${line}`);
    assert.deepEqual(found.toSorted(), [
      'deprecated-match:25',
      'deprecated-match:29',
      'group-drops-namespace:31',
      'no-dead-man:20',
      'no-inhibition:20',
      'no-repeat-interval:20',
      'no-such-route:13',
      'no-such-route:4',
      'partial-label:31',
      'placeholder:13',
      'placeholder:4',
      'route-shadowed:28',
      'send-resolved-implicit:13',
    ]);
  });

  it('says that the workflow route of Gitea wants another body, and that a label is nowhere', () => {
    const text = fixture
      .replaceAll('actions/dispatches', 'actions/workflows/alert.yaml/dispatches')
      .replace("'model'", "'modl'");
    const rules = lint(text).map(({ rule }) => rule);
    assert.equal(rules.filter((rule) => rule === 'body-refused').length, 2);
    assert.ok(rules.includes('unknown-label'));
  });
});

describe('what is wrong with routes', () => {
  const [ours] = alertmanagerFiles(handbook, outside);
  const cases: [string, (text: string) => string][] = [
    ['unknown-receiver', (text) => text.replace('receiver: ai-oncall', 'receiver: ai-oncal')],
    ['wrong-matcher', (text) => text.replace('namespace="cortex"', 'namespace cortex')],
    [
      'unreachable-route',
      (text) => text.replace('- namespace="cortex"', '- namespace="cortex"\n        - namespace="other"'),
    ],
    [
      'route-shadowed',
      (text) =>
        text.replace(
          '      continue: true\n    - matchers:\n        - namespace=""',
          '    - matchers:\n        - namespace=""',
        ),
    ],
    ['no-credentials', (text) => text.replaceAll(/ {10}authorization:\n.*\n.*\n/g, '')],
    ['relative-credentials-file', (text) => text.replaceAll('credentials_file: /', 'credentials_file: ')],
    [
      'reaches-nobody',
      (text) =>
        text.replace(
          /- name: catalyst-sre\n {4}webhook_configs:[\s\S]*?(?= {2}- name: ai-oncall)/,
          '- name: catalyst-sre\n',
        ),
    ],
    ['no-dead-man', (text) => text.replace('alertname="Watchdog"', 'alertname="Watchcat"')],
  ];
  for (const [rule, change] of cases)
    it(rule, () => {
      const text = change(ours?.text ?? '');
      assert.notEqual(text, ours?.text);
      assert.ok(
        lint(text).some((p) => p.rule === rule),
        JSON.stringify(lint(text)),
      );
    });
});

describe('the generated configurations', () => {
  for (const { path, text } of alertmanagerFiles(handbook, outside).filter((file) =>
    file.path.startsWith('alertmanager/'),
  ))
    it(`${path} has nothing wrong with it`, () => {
      assert.ok(isAlertmanagerConfiguration(text));
      assert.deepEqual(lint(text), []);
    });

  it('say where the heartbeat is missing', () => {
    const [ours] = alertmanagerFiles(handbook, defaultAlertmanagerOptions);
    assert.deepEqual(
      lint(ours?.text ?? '').map(({ rule }) => rule),
      ['dead-man-tells-nobody'],
    );
  });

  it('write timeouts where Alertmanager knows them, and the same text inside that of Mimir', () => {
    const [old] = alertmanagerFiles(handbook, outside);
    const [ours, , mimir] = alertmanagerFiles(handbook, { ...outside, version: '0.33' });
    assert.doesNotMatch(old?.text ?? '', /timeout: 10s/);
    assert.match(ours?.text ?? '', /timeout: 10s/);
    assert.equal((load(mimir?.text ?? '') as { alertmanager_config: string }).alertmanager_config, ours?.text);
  });
});
