/**
 * Test files that run in one process, one after the other. Loading the product takes a second of a processor, and in a
 * process of its own each file pays it anew. Each is a suite of its own name, to which its hooks belong.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';

const root = join(import.meta.dirname, '..');
const rooms = join(root, '.testbed', 'rooms');

/** Writes the file that `node --test` is given for them. @returns its path */
export function makeRoom(name: string, files: readonly string[]): string {
  const path = (file: string) => JSON.stringify(relative(rooms, join(root, file)));
  const lines = [
    "import { describe } from 'node:test';",
    // Servers that are shared by a process end with it, not with the first file that asked.
    `import ${path('testbed/real.ts')};`,
    ...files.map((file) => `describe(${JSON.stringify(file)}, async () => void (await import(${path(file)})));`),
  ];
  mkdirSync(rooms, { recursive: true });
  const room = join(rooms, `${name.replaceAll('/', '-')}.test.ts`);
  writeFileSync(room, `${lines.join('\n')}\n`);
  return room;
}
