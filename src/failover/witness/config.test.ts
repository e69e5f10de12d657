import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../clock.ts';
import { createSecrets } from '../../integrations/secrets.ts';
import { type WitnessConfig, witnessProblems } from './config.ts';
import { regionKey, witnessOpener } from './open.ts';

const http = (url = 'https://witness.example') => ({ url });
const s3 = {
  url: 'https://s3.example',
  bucket: 'leases',
  region: 'eu',
  prefix: '',
  accessKeyIdEnv: 'A',
  secretAccessKeyEnv: 'B',
};
const dns = { server: '192.0.2.53', zone: 'lease.example', keyName: 'k', keySecretEnv: 'K' };

test('three witnesses in different places are fine', () => {
  assert.deepEqual(
    witnessProblems([
      { name: 'a', http: http() },
      { name: 'b', s3 },
      { name: 'c', dns },
    ]),
    [],
  );
  assert.deepEqual(witnessProblems([{ name: 'a', http: http('http://127.0.0.1:8470') }]), []);
});

const wrong: [string, WitnessConfig[], RegExp][] = [
  [
    'a name that is used twice',
    [
      { name: 'a', http: http() },
      { name: 'a', s3 },
    ],
    /"a" is used for two/,
  ],
  ['no store', [{ name: 'a' }], /exactly one of http, s3, etcd, kubernetes, postgres, dns\./],
  ['two stores', [{ name: 'a', http: http(), dns }], /and has http and dns/],
  ['plain HTTP over a network', [{ name: 'a', http: http('http://10.0.0.1:8470') }], /use https/],
  ['a path', [{ name: 'a', http: http('https://witness.example/v1') }], /only scheme, host and port/],
  [
    'one machine under two names',
    [
      { name: 'a', http: http() },
      { name: 'b', http: http() },
    ],
    /one and the same/,
  ],
  [
    'a secret that is nowhere',
    [{ name: 'a', s3: { ...s3, accessKeyIdEnv: undefined } as never }],
    /exactly one of accessKeyIdFile/,
  ],
  [
    'half a client certificate',
    [{ name: 'a', etcd: { url: 'https://e.example', prefix: '', certFile: 'x' } }],
    /both certFile and keyFile/,
  ],
];
for (const [what, witnesses, expected] of wrong)
  test(`refused: ${what}`, () => assert.match(witnessProblems(witnesses).join(' '), expected));

test('each store is opened by its configuration, and says what it lacks when it is asked', async () => {
  const secrets = createSecrets({ A: 'access-id', B: 'secret-key', K: 'a2V5' });
  const ports = { region: 'fsn', key: regionKey({}, secrets), secrets, clock: systemClock };
  const closed = 'http://127.0.0.1:1';
  const stores: [WitnessConfig, RegExp][] = [
    [{ name: 'w', http: http(closed) }, /no private key/],
    [{ name: 'w', s3: { ...s3, url: closed } }, /witness w \(S3\) could not be reached/],
    [{ name: 'w', etcd: { url: closed, prefix: '' } }, /witness w \(etcd\) could not be reached/],
    [{ name: 'w', kubernetes: { cluster: { server: closed }, namespace: 'x' } }, /Kubernetes could not be reached/],
    [{ name: 'w', postgres: { urlEnv: 'NOWHERE' } }, /NOWHERE is empty/],
    [{ name: 'w', dns: { ...dns, server: '127.0.0.1:1' } }, /witness w \(DNS\) did not answer/],
  ];
  for (const [config, expected] of stores) {
    const witness = (await witnessOpener(config, ports))();
    await assert.rejects(async () => witness.read('shop', { signal: AbortSignal.timeout(10_000) }), expected);
    await witness.close();
  }
});
