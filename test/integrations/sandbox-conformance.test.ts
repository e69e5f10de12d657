/** The promises of the integrations, against the sandbox's servers; `real-conformance.test.ts` holds the real ones to the same. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Sandbox, startSandbox } from '../../sandbox/start.ts';
import { systemClock } from '../../src/clock.ts';
import { apiOf, layScene } from './cluster-scene.ts';
import { giteaConformance } from './gitea-conformance.ts';
import { kubernetesConformance } from './kubernetes-conformance.ts';
import { kubernetesControllersConformance } from './kubernetes-controllers-conformance.ts';
import { monitoringConformance } from './monitoring-conformance.ts';
import { openbaoConformance } from './openbao-conformance.ts';
import { patientClock } from './support.ts';

/** Faster than a laptop's pace; the waits of the checks are real. */
const speed = 5;
/** For Gitea, whose runs are looked at every three seconds. */
const pace = patientClock(20);
/** Far beyond what an alert of the sandbox takes. */
const limitMs = 30_000;

let sandbox: Sandbox;
let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'conformance-'));
  sandbox = await startSandbox({ speed, sharesDirectory: join(directory, 'shares') });
});
after(async () => {
  await sandbox?.stop();
  await rm(directory, { recursive: true, force: true });
});

describe('kubernetes, as the sandbox has it', () => {
  const namespace = 'conformance';
  before(() => layScene(apiOf(sandbox), namespace));
  const all = [...kubernetesConformance('sandbox'), ...kubernetesControllersConformance('sandbox')];
  for (const { name, run } of all) {
    it(name, () =>
      run({
        config: { server: sandbox.kubernetes.url, tokenEnv: 'TOKEN' },
        namespace,
        environment: { TOKEN: sandbox.kubernetes.token },
      }),
    );
  }
});

describe('prometheus and alertmanager, as the sandbox has them', () => {
  const alertName = 'PodCrashLoopBackOff';
  before(async () => {
    sandbox.inject('pod-crash-loop');
    const limit = AbortSignal.timeout(limitMs);
    const url = `${sandbox.alertmanager.url}/api/v2/alerts?filter=alertname%3D${alertName}`;
    while (((await (await fetch(url)).json()) as unknown[]).length === 0) await systemClock.sleep(50, limit);
  });
  for (const { name, run } of monitoringConformance('sandbox')) {
    it(name, () =>
      run({ prometheusUrl: sandbox.prometheus.url, alertmanagerUrl: sandbox.alertmanager.url, alertName }),
    );
  }
});

describe('openbao and spire, as the sandbox has them', () => {
  for (const { name, run } of openbaoConformance()) {
    it(name, async () => {
      sandbox.inject('openbao-sealed');
      await run({
        addresses: sandbox.openbao.pods.map(({ url }) => url),
        sharesDirectory: join(directory, 'shares'),
        spireUrl: sandbox.spire.url,
      });
      assert.ok(sandbox.world.bao.nodes.every(({ sealed }) => !sealed));
    });
  }
});

for (const legacyGitea of [false, true]) {
  describe(`gitea ${legacyGitea ? 'of the 1.24 generation' : 'of today'}, as the sandbox has it`, () => {
    let forge: Sandbox;
    before(async () => {
      forge = await startSandbox({ clock: pace, legacyGitea });
    });
    after(() => forge?.stop());
    for (const { name, run } of giteaConformance('sandbox')) {
      it(name, () =>
        run({
          url: forge.gitea.url,
          token: forge.gitea.token,
          repository: 'acme/platform',
          workflow: 'remediate.yaml',
          named: !legacyGitea,
          clock: pace,
        }),
      );
    }
  });
}
