/** Where the console is: the first segment of the address is the view, the second the item. Every state has an address. */
const parse = () => {
  const [view = '', item] = location.pathname.split('/').filter(Boolean).map(decodeURIComponent);
  return { view: view === '' ? 'overview' : view, item, query: new URLSearchParams(location.search) };
};

export const place = $state<{ now: ReturnType<typeof parse> }>({ now: parse() });

export function go(path: string, { replace = false } = {}): void {
  if (path === location.pathname + location.search) return;
  history[replace ? 'replaceState' : 'pushState'](null, '', path);
  place.now = parse();
}

export const pathTo = (view: string, item?: string) =>
  item === undefined ? `/${view}` : `/${view}/${encodeURIComponent(item)}`;

/** The address with one parameter of the query set, or taken away. */
export function setQuery(name: string, value: string): void {
  const query = new URLSearchParams(location.search);
  if (value === '') query.delete(name);
  else query.set(name, value);
  const text = query.toString();
  go(location.pathname + (text === '' ? '' : `?${text}`), { replace: true });
}

/** Links of the page stay links (they open in a new tab, can be copied) and do not load the page anew. */
export function startRouter(): void {
  addEventListener('popstate', () => {
    place.now = parse();
  });
  document.addEventListener('click', (event) => {
    const link = (event.target as Element).closest('a');
    if (
      !link ||
      link.target ||
      link.hasAttribute('download') ||
      link.origin !== location.origin ||
      link.pathname.startsWith('/auth/')
    )
      return;
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
}
