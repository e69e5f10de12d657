/**
 * Adds to package-lock.json the optional packages of other platforms that it lacks: a registry that does not carry them
 * all makes npm leave them out, and `npm ci` then refuses the file. Run it after each change of the dependencies.
 *
 *     node tools/complete-lockfile.ts
 */
import { readFile, writeFile } from 'node:fs/promises';

interface LockedPackage {
  version?: string;
  dev?: boolean;
  optional?: boolean;
  cpu?: string[];
  os?: string[];
  libc?: string[];
  optionalDependencies?: Record<string, string>;
}

const systems = ['android', 'darwin', 'freebsd', 'linux', 'openharmony', 'win32', 'aix', 'netbsd', 'openbsd', 'sunos'];
const processors = ['arm64', 'arm', 'x64', 'ia32', 'ppc64', 'riscv64', 's390x', 'wasm32', 'loong64', 'mips64el'];

const lock = JSON.parse(await readFile('package-lock.json', 'utf8')) as { packages: Record<string, LockedPackage> };
const { packages } = lock;
for (const [path, { optionalDependencies = {}, dev }] of Object.entries(packages)) {
  for (const [name, version] of Object.entries(optionalDependencies)) {
    const key = `node_modules/${name}`;
    if (packages[`${path}/${key}`] || packages[key] || !/^\d+\.\d+\.\d+/.test(version)) continue;
    // Such a package is named after what it is for: `@biomejs/cli-linux-arm64-musl`.
    const words = (name.split('/').at(-1) ?? '').split('-');
    const os = systems.filter((system) => words.includes(system));
    const cpu = processors.filter((processor) => words.includes(processor));
    if (os.length === 0 && cpu.length === 0) continue;
    const musl = words.some((word) => word.startsWith('musl'));
    packages[key] = {
      version,
      ...(cpu.length > 0 ? { cpu } : {}),
      ...(dev ? { dev } : {}),
      ...(musl ? { libc: ['musl'] } : os[0] === 'linux' ? { libc: ['glibc'] } : {}),
      optional: true,
      ...(os.length > 0 ? { os } : {}),
    };
    process.stdout.write(`added ${name} ${version}\n`);
  }
}
const { '': root = {}, ...others } = packages;
lock.packages = {
  '': root,
  ...Object.fromEntries(Object.entries(others).sort(([a], [b]) => a.localeCompare(b, 'en'))),
};
await writeFile('package-lock.json', `${JSON.stringify(lock, null, 2)}\n`);
