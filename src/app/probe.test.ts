import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { serve } from '../../test/integrations/support.ts';
import { privateFile } from '../../test/support/served.ts';
import { findPrograms, temporaryDirectory, waitUntil } from '../../testbed/process.ts';
import { describeReal } from '../../testbed/real.ts';
import type { CliIo } from '../cli/io.ts';
import { systemClock } from '../clock.ts';
import { readProbes, runProber } from './probe.ts';

const directory = temporaryDirectory('probe');
after(() => directory.remove());

/** Runs `probe --once`; samples by series. */
async function probeOnce(targets: readonly object[], more: object = {}) {
  const lines: string[] = [];
  const said: string[] = [];
  const config = privateFile(directory.path, 'probes.yaml', JSON.stringify({ timeout: '3s', ...more, targets }));
  const io = { clock: systemClock, signal: new AbortController().signal } as CliIo;
  io.out = (text) => lines.push(...text.split('\n'));
  io.err = (text) => said.push(text);
  const isWell = await runProber({ config, listen: '127.0.0.1:0', once: true }, io);
  const samples = new Map(
    lines.filter((line) => !line.startsWith('#')).map((line) => line.split(/ (?=[^ ]+$)/) as [string, string]),
  );
  return { isWell, samples, said: said.join('\n') };
}
const of = (metric: string, name: string) => `${metric}{job="j",target="${name}"}`;
const closed = async (server: { close(done: () => void): unknown }) => new Promise<void>((done) => server.close(done));

describe('HTTP probes', () => {
  it('tell status, body, redirects and silence apart', async () => {
    await using server = await serve(({ url }) => {
      const { pathname } = url;
      if (pathname === '/silent') return undefined;
      if (pathname === '/loop') return [302, '', { location: '/loop' }];
      if (pathname === '/moved') return [302, '', { location: '/sealed' }];
      if (pathname === '/file') return [302, '', { location: 'file:///etc/passwd' }];
      return [pathname === '/busy' ? 429 : 200, { sealed: false }];
    });
    const http = (name: string, more: object = {}) => ({
      name,
      job: 'j',
      http: { url: `${server.url}${name}`, ...more },
    });
    const { isWell, samples, said } = await probeOnce([
      http('/sealed', { contains: '"sealed":false' }),
      http('/other', { contains: '"sealed":true' }),
      http('/busy', { status: [200, 429] }),
      http('/moved', { redirects: 'Follow' }),
      http('/loop', { redirects: 'Follow' }),
      http('/file', { redirects: 'Follow' }),
      { ...http('/moved'), name: 'refused' },
      { ...http('/silent'), timeout: '200ms' },
    ]);
    assert.equal(isWell, false);
    const success = (name: string) => samples.get(of('probe_success', name));
    assert.deepEqual(['/sealed', '/other', '/busy', '/moved', '/loop', '/file', 'refused', '/silent'].map(success), [
      '1',
      '0',
      '1',
      '1',
      '0',
      '0',
      '0',
      '0',
    ]);
    assert.equal(samples.get(of('probe_http_status_code', 'refused')), '302');
    assert.equal(samples.get(of('probe_http_redirects', '/moved')), '1');
    assert.ok(Number(samples.get(of('probe_duration_seconds', '/silent'))) >= 0.2);
    assert.match(said, /\/loop: more than 5 redirects/);
    assert.match(said, /\/file: a redirect to file:/);
    assert.match(said, /\/silent: no answer within its limit of time/);
  });

  it('come never more at a time than they may', async () => {
    let [now, most] = [0, 0];
    const server = createServer((_request, response) => {
      now += 1;
      most = Math.max(most, now);
      setImmediate(() => {
        now -= 1;
        response.end();
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const targets = Array.from({ length: 20 }, (_, at) => ({ name: `t${at}`, job: 'j', http: { url } }));
    const { isWell } = await probeOnce(targets, { concurrency: 3 });
    await closed(server);
    assert.ok(isWell);
    assert.ok(most <= 3, `${most} at a time`);
  });
});

describeReal(
  'TLS probes, of a certificate made here',
  () => findPrograms(['openssl'], ['/usr/bin']),
  () => {
    const days = 40;
    let server: https.Server;
    let port: number;
    let ca: string;
    before(async () => {
      ca = join(directory.path, 'ca.crt');
      const key = join(directory.path, 'ca.key');
      const subject = ['-subj', '/CN=console.example', '-addext', 'subjectAltName=DNS:console.example'];
      const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', String(days), ...subject];
      execFileSync('openssl', [...request, '-keyout', key, '-out', ca], { stdio: 'ignore' });
      server = https.createServer({ key: readFileSync(key), cert: readFileSync(ca) }, (_request, response) => {
        response.end('well');
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      port = (server.address() as AddressInfo).port;
    });
    after(() => closed(server));

    it('say until when it is good, also where it is not trusted or for another name', async () => {
      const address = `127.0.0.1:${port}`;
      const trusted = { caFile: ca, serverName: 'console.example' };
      const { samples, said } = await probeOnce([
        { name: 'tls', job: 'j', tls: { address, ...trusted } },
        { name: 'https', job: 'j', http: { url: `https://${address}/`, contains: 'well', ...trusted } },
        { name: 'stranger', job: 'j', tls: { address, serverName: 'console.example' } },
        { name: 'other name', job: 'j', http: { url: `https://${address}/`, caFile: ca } },
      ]);
      const names = ['tls', 'https', 'stranger', 'other name'];
      assert.deepEqual(
        names.map((name) => samples.get(of('probe_success', name))),
        ['1', '1', '0', '0'],
      );
      for (const name of names) {
        const left = Number(samples.get(of('probe_ssl_earliest_cert_expiry', name))) - Date.now() / 1000;
        assert.ok(Math.abs(left - days * 86_400) < 3600, `${name}: ${left}`);
      }
      assert.match(said, /stranger: the certificate is not trusted/);
    });
  },
);

describe('DNS probes', () => {
  it('ask the server given, and compare the records', async (context) => {
    const socket = createSocket('udp4');
    context.after(() => closed(socket));
    socket.on('message', (query, from) => socket.send(answerTo(query), from.port, from.address));
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const server = `127.0.0.1:${socket.address().port}`;
    const { samples, said } = await probeOnce([
      { name: 'any', job: 'j', dns: { name: 'console.example', server } },
      { name: 'expected', job: 'j', dns: { name: 'console.example', server, expect: ['192.0.2.10'] } },
      { name: 'moved', job: 'j', dns: { name: 'console.example', server, expect: ['192.0.2.99'] } },
      { name: 'nothing', job: 'j', dns: { name: 'nothing.example', server } },
    ]);
    assert.deepEqual(
      ['any', 'expected', 'moved', 'nothing'].map((name) => samples.get(of('probe_success', name))),
      ['1', '1', '0', '0'],
    );
    assert.equal(samples.get(of('probe_dns_answer_rrs', 'any')), '1');
    assert.match(said, /moved: none of the records is expected: 192\.0\.2\.10/);
  });
});

/** One A record for console.example, and NXDOMAIN for every other name (RFC 1035). */
function answerTo(query: Buffer): Buffer {
  const known = query.includes('console');
  const header = Buffer.from(query.subarray(0, 12));
  header.writeUInt16BE(known ? 0x8180 : 0x8183, 2);
  header.writeUInt16BE(known ? 1 : 0, 6);
  header.fill(0, 8, 12);
  const question = query.subarray(12, query.indexOf(0, 12) + 5);
  // A pointer to the name asked for, type A, class IN, 60 s, four bytes.
  const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 10]);
  return Buffer.concat([header, question, ...(known ? [record] : [])]);
}

describe('the prober', () => {
  it('serves what it finds until it is stopped', async () => {
    await using target = await serve(() => [200, {}]);
    const stop = new AbortController();
    let said = '';
    const io = { clock: systemClock, signal: stop.signal } as CliIo;
    io.err = (text) => {
      said += text;
    };
    const labels = { region: 'a "quoted" \\ one' };
    const config = privateFile(
      directory.path,
      'serve.yaml',
      JSON.stringify({ targets: [{ name: 'one', job: 'j', labels, http: { url: target.url } }] }),
    );
    const running = runProber({ config, listen: '127.0.0.1:0', once: false }, io);
    let text = '';
    await waitUntil('the first result', 20_000, async () => {
      const url = /http:\S+metrics/.exec(said)?.[0];
      if (url) text = await (await fetch(url)).text();
      return text.includes('probe_success');
    });
    assert.match(text, /^probe_success\{job="j",target="one",region="a \\"quoted\\" \\\\ one"\} 1$/m);
    stop.abort();
    assert.equal(await running, true);
  });

  it('lets a target have times of its own, and otherwise those of all', () => {
    const text = `interval: 1h
timeout: 1m
targets:
  - { name: a, job: j, dns: { name: a } }
  - { name: b, job: j, interval: 10s, timeout: 2s, dns: { name: b } }
`;
    const { interval, timeout, targets } = readProbes(text, 'p.yaml');
    assert.deepEqual([interval, timeout], ['1h', '1m']);
    assert.deepEqual(
      targets.map((target) => [target.interval, target.timeout]),
      [
        [undefined, undefined],
        ['10s', '2s'],
      ],
    );
  });

  it('refuses a configuration with every problem and its line', () => {
    const wrong = `targets:
  - { name: a, job: j, labels: { job: x }, http: { url: http://a } }
  - { name: a, job: j, tls: { address: 'a:1' }, dns: { name: a } }
  - { name: b, job: j, timeout: 1m, dns: { name: b } }
`;
    assert.throws(
      () => readProbes(wrong, 'p.yaml'),
      (error: Error) => {
        for (const part of ['p.yaml:2:', 'label job', 'exactly one of http', 'are called a', 'timeout of b'])
          assert.ok(error.message.includes(part), `${part} is missing: ${error.message}`);
        return true;
      },
    );
    assert.throws(() => readProbes('targets: [{ name: a, job: j, http: { url: "http://u:p@a" } }]', 'p.yaml'), /url/);
  });
});
