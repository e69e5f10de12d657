/** The first view is what somebody waits for at 3 a.m. over a bad connection. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { buildConsole } from './browser.ts';

const built = join(import.meta.dirname, '../../console/dist');
before(buildConsole);

/** Everything the page loads by itself: what index.html names, and what that imports without being asked. */
async function firstView(): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  const follow = async (file: string): Promise<void> => {
    if (sizes.has(file)) return;
    const bytes = await readFile(join(built, file));
    sizes.set(file, gzipSync(bytes).length);
    const text = bytes.toString();
    const named = file.endsWith('.html')
      ? [...text.matchAll(/(?:src|href)="\/([^"]+)"/g)]
      : [...text.matchAll(/(?:from|^import|;import)\s*"\.\/([^"]+)"/g)];
    for (const [, name] of named) await follow(file.endsWith('.html') ? `${name}` : `assets/${name}`);
  };
  await follow('index.html');
  return sizes;
}

test('the first view is 100 kB at most in all, gzipped', async () => {
  const sizes = await firstView();
  assert.ok(
    [...sizes.keys()].some((file) => file.endsWith('.js')),
    'the script was found',
  );
  assert.ok(
    [...sizes.keys()].some((file) => file.endsWith('.css')),
    'the styles were found',
  );
  const total = [...sizes.values()].reduce((sum, size) => sum + size, 0);
  assert.ok(total <= 100_000, `${total} bytes: ${JSON.stringify([...sizes])}`);
});

test('it works without any other host: nothing built names one that it would load from', async () => {
  const texts = await Promise.all(
    (await readdir(built, { recursive: true }))
      .filter((file) => /\.(js|css|html)$/.test(file))
      .map((file) => readFile(join(built, file), 'utf8')),
  );
  for (const text of texts)
    assert.doesNotMatch(text, /(?:src|href)="https?:|@import\s+["']?https?:|url\(["']?https?:|import\(["']https?:/);
});
