/** The keyboard: every list is walked with j and k, every view is two keys away. Keys typed into a field are text. */
import { go, pathTo } from './router.svelte.ts';

export const shortcuts = [
  { keys: 'j / k', what: 'next, previous in the list' },
  { keys: 'Enter', what: 'open what is chosen' },
  { keys: 'Esc', what: 'close the panel, or leave the field' },
  { keys: '/', what: 'search in the list' },
  { keys: 'a', what: 'acknowledge the incident that is open' },
  {
    keys: 'g then o i r p b l n u h d s',
    what: 'Overview, Incidents, Runs, Approvals, Runbooks, SLOs, On-call, Audit, Handbook, Drills, Settings',
  },
  { keys: 't', what: 'light, dark, or as the system' },
  { keys: '?', what: 'this list' },
] as const;

const views: Record<string, string> = {
  o: '/',
  i: pathTo('incidents'),
  r: pathTo('runs'),
  b: pathTo('runbooks'),
  p: pathTo('approvals'),
  l: pathTo('slos'),
  n: pathTo('on-call'),
  u: pathTo('audit'),
  h: pathTo('handbook'),
  d: pathTo('drills'),
  s: pathTo('settings'),
};

/** After `g`, so long for the second key, ms. */
const secondKeyMs = 1_500;

export interface Keys {
  help(): void;
  theme(): void;
}

/** Keys of the page; the lists listen for their own (`ui/VirtualList.svelte`). Returns how to stop it. */
export function startKeyboard({ help, theme }: Keys): () => void {
  let wentAt = Number.NEGATIVE_INFINITY;
  const onKey = (event: KeyboardEvent) => {
    const field = isField(event.target);
    // Chromium would empty a search at Escape; here it leaves the field, and what was searched for stays.
    if (event.key === 'Escape' && event.target instanceof HTMLInputElement) {
      event.preventDefault();
      event.target.blur();
    }
    if (event.defaultPrevented || event.metaKey || event.ctrlKey || event.altKey || field) return;
    const second = performance.now() - wentAt < secondKeyMs;
    wentAt = Number.NEGATIVE_INFINITY;
    const view = second ? views[event.key] : undefined;
    if (view !== undefined) go(view);
    else if (event.key === 'g') wentAt = performance.now();
    else if (event.key === '?') help();
    else if (event.key === 't') theme();
    else if (event.key === '/') document.querySelector<HTMLElement>('[data-search]')?.focus();
    else return;
    event.preventDefault();
  };
  addEventListener('keydown', onKey);
  return () => removeEventListener('keydown', onKey);
}

export function isField(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.matches('input, textarea, select') || target.closest('dialog[open]') !== null)
  );
}
