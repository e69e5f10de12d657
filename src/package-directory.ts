import { findPackageJSON } from 'node:module';
import { dirname } from 'node:path';

/**
 * The folder of package.json, with the handbook and whatever else the program brings as files: code may run from `src/`
 * or, built, from `dist/server/`.
 */
export const packageDirectory = dirname(findPackageJSON(import.meta.url) ?? '.');
