/** Starts the sandbox alone and says where it is: `node sandbox/main.ts [fault …]` breaks it right away. */
import { FAULTS, type FaultName } from './faults.ts';
import { startSandbox } from './start.ts';

const isFault = (name: string): name is FaultName => Object.hasOwn(FAULTS, name);
const faults = process.argv.slice(2);
const unknown = faults.find((name) => !isFault(name));
if (unknown !== undefined) {
  process.stderr.write(`unknown fault "${unknown}"; known are: ${Object.keys(FAULTS).join(', ')}\n`);
  process.exit(2);
}

const sandbox = await startSandbox();
const rows: [string, string][] = [
  ['Kubernetes', `${sandbox.kubernetes.url}  token ${sandbox.kubernetes.token}`],
  ...sandbox.openbao.pods.map(({ name, url }): [string, string] => [`OpenBao ${name}`, url]),
  ['Unseal shares', sandbox.openbao.shares.join(' ')],
  ['SPIRE', sandbox.spire.url],
  ['Prometheus', sandbox.prometheus.url],
  ['Alertmanager', sandbox.alertmanager.url],
  ['Gitea', `${sandbox.gitea.url}  token ${sandbox.gitea.token}`],
  ['Pager', `${sandbox.pager.url}/pages`],
];
// These keys and tokens open nothing but this process.
for (const [name, value] of rows) process.stdout.write(`${name.padEnd(18)}${value}\n`);
for (const name of faults.filter(isFault)) {
  sandbox.inject(name);
  process.stdout.write(`broken: ${FAULTS[name].title}\n`);
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void sandbox.stop());
