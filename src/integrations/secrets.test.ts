import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import { durationMs } from './duration.ts';
import { createSecrets } from './secrets.ts';

describe('secrets', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'secrets-'));
  after(() => rm(directory, { recursive: true }));
  const file = join(directory, 'token');

  it('reads a file again when it has changed, without the line end', async () => {
    const secrets = createSecrets({});
    await writeFile(file, 'first-token\n');
    assert.equal(await secrets.read({ file }), 'first-token');
    await writeFile(file, 'second-token\n');
    assert.equal(await secrets.read({ file }), 'second-token');
    assert.equal(secrets.redact('first-token and second-token'), '[redacted] and [redacted]');
  });

  it('says where a secret is missing, and never what it is', async () => {
    const secrets = createSecrets({ EMPTY: ' ' });
    await assert.rejects(secrets.read({ env: 'EMPTY' }), { code: 'NotConfigured', message: /EMPTY/ });
    await assert.rejects(secrets.read({ env: 'ABSENT' }), { code: 'NotConfigured' });
    await assert.rejects(secrets.read({ file: join(directory, 'absent') }), {
      code: 'NotConfigured',
      message: /absent/,
    });
    await writeFile(file, 'x'.repeat(70_000));
    await assert.rejects(secrets.read({ file }), { code: 'NotConfigured', message: /too large/ });
  });

  it('leaves nothing of any known secret in a text', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ minLength: 6, maxLength: 20 }), { minLength: 1, maxLength: 5 }),
        fc.string(),
        async (values, filler) => {
          const wanted = values
            .map((value) => value.trim())
            .filter((value) => value.length >= 6 && !'[redacted]'.includes(value));
          const secrets = createSecrets(Object.fromEntries(wanted.map((value, index) => [`S${index}`, value])));
          for (const index of wanted.keys()) await secrets.read({ env: `S${index}` });
          const text = wanted
            .flatMap((value) => [filler, value, Buffer.from(value).toString('base64'), encodeURIComponent(value)])
            .join(' ');
          const shown = secrets.redact(text).replaceAll('[redacted]', '').replaceAll(filler, '');
          for (const value of wanted) assert.ok(!shown.includes(value) || filler.includes(value), shown);
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe('durations', () => {
  it('are read as runbooks write them', () => {
    assert.deepEqual(['500ms', '30s', '1h30m', '2d'].map(durationMs), [500, 30_000, 5_400_000, 172_800_000]);
    for (const text of ['', '5', '5 m', '-5m', 'm']) assert.throws(() => durationMs(text), { code: 'BadRequest' });
  });
});
