import type { Wakeup } from '../api/ports.ts';

/** Tells whoever listens that the record has grown in this process; other replicas are seen by polling. */
export function createWakeup(): Wakeup & { wake(): void } {
  const listeners = new Set<() => void>();
  return {
    wake: () => {
      for (const listener of listeners) listener();
    },
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
