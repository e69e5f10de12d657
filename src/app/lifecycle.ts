/**
 * What was started is stopped in reverse order, whether by a stop or because a later start failed.
 */
export interface Lifecycle {
  /** Names what has just been started and how it is stopped. */
  onStop(name: string, stop: () => Promise<void> | void): void;
  /** Stops everything, newest first; again is harmless. One that fails does not keep the others from stopping. */
  stop(): Promise<void>;
}

/** How long one part may take to stop, ms: past that the others go on. A drain of runs is the longest. */
const stopLimit = 20_000;

export function createLifecycle(onError: (name: string, error: unknown) => void): Lifecycle {
  const cleanups: { name: string; stop: () => Promise<void> | void }[] = [];
  let stopping: Promise<void> | undefined;

  async function stopAll() {
    for (let cleanup = cleanups.pop(); cleanup; cleanup = cleanups.pop()) {
      let timer: NodeJS.Timeout | undefined;
      const limit = new Promise<never>((_resolve, reject) => {
        timer = setTimeout(() => reject(new Error(`it did not stop within ${stopLimit / 1000} s`)), stopLimit);
      });
      try {
        await Promise.race([cleanup.stop(), limit]);
      } catch (error) {
        onError(cleanup.name, error);
      } finally {
        clearTimeout(timer);
      }
    }
  }

  return {
    onStop: (name, stop) => cleanups.push({ name, stop }),
    stop: () => {
      stopping ??= stopAll();
      return stopping;
    },
  };
}
