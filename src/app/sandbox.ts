/**
 * `serve --sandbox`: the product beside a pocket Sovereign. Only this file knows both; everything else of the product
 * talks to the sandbox's servers as it would to the real ones, by a configuration like any other.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Sandbox, type SandboxOptions, startSandbox } from '../../sandbox/start.ts';
import { hashToken } from '../api/access.ts';
import { systemClock } from '../clock.ts';
import { CatalystError } from '../errors.ts';
import { IntegrationsConfig } from '../integrations/all.ts';
import { type App, type AppOptions, startApp } from './app.ts';
import { checkConfig, thisMachine } from './config.ts';
import { createDrills } from './drills.ts';
import { writeCliFile } from './listen.ts';
import { ourselves, ownDocuments, watchObjectives } from './sandbox-objectives.ts';

export interface SandboxAppOptions extends Omit<AppOptions, 'config' | 'extraTokens' | 'drills'> {
  dataDir: string;
  /** Default 127.0.0.1:8080. */
  listen?: string;
  /** 1 is the laptop's pace. */
  speed?: number;
  /** Let drills be started over the API. */
  drills?: boolean;
  /** Configuration keys to put over the sandbox's own, for tests. */
  change?: (config: AppOptions['config']) => AppOptions['config'];
}

export interface SandboxApp extends App {
  sandbox: Sandbox;
  /** A sovereign-admin's token for the command line. */
  token: string;
  /** An address that logs a browser in, once. */
  loginUrl: string;
  /** The token of its Alertmanager. */
  intakeToken: string;
}

/** Starts a pocket Sovereign and the product configured for it. */
export async function startSandboxApp(options: SandboxAppOptions): Promise<SandboxApp> {
  const { dataDir, listen = '127.0.0.1:8080', speed, clock, change = (config) => config } = options;
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  // Of this start alone: a second one in the same folder is refused later, and must not have touched what the first uses.
  const secretsDir = await mkdtemp(join(dataDir, 'sandbox-'));
  const forget = () => rm(secretsDir, { recursive: true, force: true });
  const world: SandboxOptions = { sharesDirectory: join(secretsDir, 'unseal-shares') };
  if (speed !== undefined) world.speed = speed;
  if (clock !== undefined) world.clock = clock;
  const sandbox = await startSandbox(world);
  try {
    await watchObjectives(sandbox.prometheus);
    const config = change(await configFor(sandbox, { dataDir, listen, secretsDir }));
    const tokens = { admin: newToken(), alertmanager: newToken() };
    const extraTokens: AppOptions['extraTokens'] = [
      { name: 'sandbox', role: 'sovereign-admin', organization: undefined, hash: hashToken(tokens.admin) },
      { name: 'alertmanager', role: 'intake', organization: undefined, hash: hashToken(tokens.alertmanager) },
    ];
    const offered: Pick<AppOptions, 'drills'> = options.drills
      ? { drills: (db, committed) => createDrills({ sandbox, db, clock: clock ?? systemClock, committed }) }
      : {};
    const { drills: _wanted, ...appOptions } = options;
    const app = await startApp({ ...appOptions, ...offered, config, extraTokens, linksToItself: true });
    sandbox.prometheus.addTarget(`${app.url}/metrics`, ourselves);
    // The path that handbook §12 prints.
    sandbox.alertmanager.setWebhook({
      url: `${app.url}/api/v1/repos/system/platform/actions/dispatches`,
      token: tokens.alertmanager,
    });
    await writeCliFile(dataDir, { server: app.url, token: tokens.admin });
    const link = await app.sessions?.makeLink(
      { person: 'user/you', role: 'sovereign-admin' },
      { id: 'token/sandbox', role: 'sovereign-admin' },
    );
    return {
      ...app,
      sandbox,
      token: tokens.admin,
      loginUrl: link ? `${app.url}/auth/link/${link.secret}` : app.url,
      intakeToken: tokens.alertmanager,
      stop: async () => {
        await app.stop();
        await sandbox.stop();
        await forget();
      },
    };
  } catch (error) {
    await sandbox.stop();
    await forget();
    throw error;
  }
}

const newToken = () => randomBytes(24).toString('hex');

async function configFor(
  sandbox: Sandbox,
  { dataDir, listen, secretsDir }: { dataDir: string; listen: string; secretsDir: string },
): Promise<AppOptions['config']> {
  const tokenFile = async (name: string, token: string) => {
    const file = join(secretsDir, `${name}-token`);
    await writeFile(file, `${token}\n`, { mode: 0o600 });
    return file;
  };
  const wanted = {
    listen,
    dataDir,
    // A world made for it may be acted on: a real Sovereign begins with Suggest.
    sovereign: { name: 'pocket', mode: 'Automatic' },
    policy: { defaultRunbookMode: 'Automatic' },
    organizations: [{ name: 'acme', namespaces: ['shop-*', 'cortex'] }],
    catalog: { sources: [{ folder: ownDocuments }] },
    integrations: {
      kubernetes: {
        server: sandbox.kubernetes.url,
        tokenFile: await tokenFile('kubernetes', sandbox.kubernetes.token),
      },
      prometheus: { url: sandbox.prometheus.url },
      alertmanager: { url: sandbox.alertmanager.url },
      openbao: {
        addresses: sandbox.openbao.pods.map((pod) => pod.url),
        sharesDirectory: sandbox.openbao.unsealSharesDirectory,
      },
      spire: { url: sandbox.spire.url },
      gitea: { url: sandbox.gitea.url, tokenFile: await tokenFile('gitea', sandbox.gitea.token) },
      // The pocket Sovereign's billing tells the share itself, so that all of it is 1.
      budget: { organizations: { acme: { limit: 1, query: 'catalyst_budget_spend_ratio{organization="acme"}' } } },
      notify: { receivers: { oncall: { webhook: { url: `${sandbox.pager.url}/page` } } } },
    },
    telemetry: { logLevel: 'warn' },
    login: { links: thisMachine(listen) },
  };
  const checked = checkConfig(JSON.stringify(wanted), 'the sandbox', IntegrationsConfig);
  if ('config' in checked) return checked.config;
  throw new CatalystError(
    'Internal',
    `The sandbox's configuration is wrong: ${checked.problems.map((p) => p.sentence).join(' ')}`,
  );
}
