/** The real browser the console is tried in: Chromium from Debian's packages, driven over its own protocol. */
import { type Browser, chromium } from 'playwright-core';
import { demand, findPrograms, type Programs } from './process.ts';

export function findChromium(): Programs<'chromium'> {
  return findPrograms(['chromium'], ['/usr/bin']);
}

/** A browser without a window. The caller closes it. */
export function startChromium(): Promise<Browser> {
  const { chromium: executablePath } = demand(findChromium());
  // Chromium's own sandbox does not start as root, which is what a CI container is.
  return chromium.launch({ executablePath, args: ['--no-sandbox'] });
}
