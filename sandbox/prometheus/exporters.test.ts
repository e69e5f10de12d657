import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { HttpTarget, readExposition, steadySamples } from './exporters.ts';

test('the text format is read with its escapes; what is no sample is left out', () => {
  const text = [
    '# HELP a_total Help.',
    '# TYPE a_total counter',
    'a_total 3',
    'b{path="/x",said="a \\"quote\\",\\n\\\\"} 1.5e3 1700000000000',
    'c_bucket{le="+Inf"} +Inf',
    'd NaN',
    '',
  ].join('\n');
  assert.deepEqual(readExposition(text, { job: 'x' }), [
    { labels: { __name__: 'a_total', job: 'x' }, value: 3 },
    { labels: { __name__: 'b', path: '/x', said: 'a "quote",\n\\', job: 'x' }, value: 1_500 },
    { labels: { __name__: 'c_bucket', le: '+Inf', job: 'x' }, value: Number.POSITIVE_INFINITY },
    { labels: { __name__: 'd', job: 'x' }, value: Number.NaN },
  ]);
});

test('counters rise from when they were zero, gauges stand still', () => {
  const series = [
    { labels: { __name__: 'a_total' }, perSecond: 0.5 },
    { labels: { __name__: 'b' }, value: 7 },
  ];
  const values = (now: number) => steadySamples(series, 1_000, now).map(({ value }) => value);
  assert.deepEqual(
    [values(1_000), values(8_000)],
    [
      [0, 7],
      [3, 7],
    ],
  );
});

test('a target is asked every fifteen seconds, and is down when it does not answer well', async () => {
  let asked = 0;
  let status = 200;
  const server = createServer((_request, response) => {
    asked += 1;
    response.writeHead(status).end('a 1\n');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const target = new HttpTarget(`http://127.0.0.1:${(server.address() as AddressInfo).port}/metrics`, 'x');
  /** What it has told when an answer has changed it. */
  const told = async (now: number) => {
    const before = target.samples(now);
    while (target.samples(now) === before) await new Promise((resolve) => setImmediate(resolve));
    return target.samples(now).map(({ labels, value }) => [labels.__name__, value]);
  };
  try {
    assert.deepEqual(await told(1_000), [
      ['a', 1],
      ['up', 1],
    ]);
    target.samples(15_999);
    assert.equal(asked, 1);
    status = 503;
    assert.deepEqual(await told(16_000), [['up', 0]]);
    assert.equal(asked, 2);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
});
