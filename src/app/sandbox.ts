/**
 * `serve --sandbox`: the product beside a pocket Sovereign. Only this file knows both; everything else of the product
 * talks to the sandbox's servers as it would to the real ones, by a configuration like any other.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Sandbox, type SandboxOptions, startSandbox } from '../../sandbox/start.ts';
import { hashToken } from '../api/access.ts';
import { CatalystError } from '../errors.ts';
import { IntegrationsConfig } from '../integrations/all.ts';
import { type App, type AppOptions, startApp } from './app.ts';
import { checkConfig, thisMachine } from './config.ts';
import { writeCliFile } from './listen.ts';

export interface SandboxAppOptions extends Omit<AppOptions, 'config' | 'extraTokens'> {
  dataDir: string;
  /** Default 127.0.0.1:8080. */
  listen?: string;
  /** 1 is the laptop's pace. */
  speed?: number;
  /** Configuration keys to put over the sandbox's own, for tests. */
  change?: (config: AppOptions['config']) => AppOptions['config'];
}

export interface SandboxApp extends App {
  sandbox: Sandbox;
  /** A sovereign-admin's token for the command line. */
  token: string;
  /** An address that logs a browser in, once. */
  loginUrl: string;
}

/** Starts a pocket Sovereign and the product configured for it. */
export async function startSandboxApp(options: SandboxAppOptions): Promise<SandboxApp> {
  const { dataDir, listen = '127.0.0.1:8080', speed, clock, change = (config) => config } = options;
  const secretsDir = join(dataDir, 'sandbox');
  await mkdir(secretsDir, { recursive: true, mode: 0o700 });
  const world: SandboxOptions = { sharesDirectory: join(secretsDir, 'unseal-shares') };
  if (speed !== undefined) world.speed = speed;
  if (clock !== undefined) world.clock = clock;
  const sandbox = await startSandbox(world);
  try {
    const config = change(await configFor(sandbox, { dataDir, listen, secretsDir }));
    const tokens = { admin: newToken(), alertmanager: newToken() };
    const extraTokens: AppOptions['extraTokens'] = [
      { name: 'sandbox', role: 'sovereign-admin', organization: undefined, hash: hashToken(tokens.admin) },
      { name: 'alertmanager', role: 'intake', organization: undefined, hash: hashToken(tokens.alertmanager) },
    ];
    const app = await startApp({ ...options, config, extraTokens });
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
      stop: async () => {
        await app.stop();
        await sandbox.stop();
      },
    };
  } catch (error) {
    await sandbox.stop();
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
    organizations: [
      { name: 'acme', namespaces: ['shop-*'] },
      { name: 'cortex', namespaces: ['cortex'] },
    ],
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
