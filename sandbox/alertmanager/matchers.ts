/** Label matchers of Alertmanager: in silences, in filters of the API, in inhibition rules. */

export type Labels = Record<string, string>;

export interface Matcher {
  name: string;
  value: string;
  isRegex: boolean;
  isEqual: boolean;
}

/** A matcher that cannot be read; the message is what Alertmanager answers. */
export class MatcherError extends Error {}

/** `alertname="X"`, `severity=~"a|b"`, with or without quotes. */
export function parseMatcher(text: string): Matcher {
  const [, name, operator = '', quoted, bare] =
    /^\s*\{?\s*([A-Za-z_:][\w:]*)\s*(=~|!~|!=|=)\s*(?:"((?:[^"\\]|\\.)*)"|([^"{}]*?))\s*,?\s*\}?\s*$/.exec(text) ?? [];
  if (name === undefined) throw new MatcherError(`bad matcher format: ${text}`);
  const value = quoted === undefined ? (bare ?? '') : quoted.replace(/\\(.)/g, '$1');
  const matcher = { name, value, isRegex: operator.endsWith('~'), isEqual: operator.startsWith('=') };
  matches(matcher, {});
  return matcher;
}

/** Whether labels fit a matcher; a label that is missing counts as empty. */
export function matches(matcher: Matcher, labels: Labels): boolean {
  const value = labels[matcher.name] ?? '';
  if (!matcher.isRegex) return (value === matcher.value) === matcher.isEqual;
  try {
    return new RegExp(`^(?:${matcher.value})$`, 's').test(value) === matcher.isEqual;
  } catch {
    throw new MatcherError(`invalid regular expression: ${matcher.value}`);
  }
}

export function matchesAll(matchers: readonly Matcher[], labels: Labels): boolean {
  return matchers.every((matcher) => matches(matcher, labels));
}

/** 64-bit FNV-1a over the sorted labels, as Prometheus computes the fingerprint of a label set. */
export function fingerprint(labels: Labels): string {
  const SEPARATOR = 0xff;
  const PRIME = 0x100000001b3n;
  let hash = 0xcbf29ce484222325n;
  const add = (byte: number) => {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * PRIME);
  };
  for (const name of Object.keys(labels).sort()) {
    for (const byte of Buffer.from(name)) add(byte);
    add(SEPARATOR);
    for (const byte of Buffer.from(labels[name] ?? '')) add(byte);
    add(SEPARATOR);
  }
  return hash.toString(16).padStart(16, '0');
}
