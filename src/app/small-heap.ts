/**
 * For processes that do little and have to be small: the controller, the gate. V8 lets the space for new objects grow to
 * 16 MiB per half on a large machine; with 1 MiB the collector runs a little more often, and some 10 MB are saved.
 */
import { setFlagsFromString } from 'node:v8';

/** Call it before the rest of the program is loaded. */
export function keepHeapSmall(): void {
  setFlagsFromString('--max-semi-space-size=1');
  setFlagsFromString('--semi-space-growth-factor=1');
}
