/** The only place that reads the process's environment: everything below gets it as a value. */

import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { packageDirectory } from '../package-directory.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** What the process was started with. */
export interface ProcessOptions {
  environment: Environment;
  home: string;
  directory: string;
  version: string;
}

export function processOptions(): ProcessOptions {
  return {
    environment: process.env,
    home: homedir(),
    directory: process.cwd(),
    version: packageVersion(),
  };
}

/** The version in the package's own package.json. */
export function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(join(packageDirectory, 'package.json'), 'utf8')) as {
    version: string;
  };
  return version;
}
