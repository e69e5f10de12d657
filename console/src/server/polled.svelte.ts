/** What changes without an entry of the record that one may see, as what Prometheus knows: read again from time to time, while somebody looks. */
import type { Live } from './live.svelte.ts';
import { login } from './session.svelte.ts';

/** Rules record every 30 s, and sources are read no more often; sooner there is nothing new. */
const everyMs = 30_000;

/** To be called where a component begins, as `live` is. */
export function polled<T>(value: Live<T>): Live<T> {
  $effect(() => {
    const timer = setInterval(() => {
      if (document.visibilityState === 'visible') void value.refresh();
    }, everyMs);
    const look = () => {
      if (document.visibilityState === 'visible') void value.refresh();
    };
    document.addEventListener('visibilitychange', look);
    return () => {
      clearInterval(timer);
      document.removeEventListener('visibilitychange', look);
    };
  });
  return value;
}

/**
 * Documents: the record says when they change. Only what happens to the Sovereign's is not in an Organization's slice of it,
 * so that its people look from time to time.
 */
export function ofCatalog<T>(value: Live<T>): Live<T> {
  return login.now.kind === 'in' && login.now.session.organization !== undefined ? polled(value) : value;
}
