/** A declared document as YAML to read: block style, strings quoted only where YAML would read something else. */

/** What YAML takes for a string as it stands: begins with a letter or a sign without meaning, and is one printable line. */
const plain = /^[A-Za-z_/$(][\x20-\x7e\xa0-\ud7ff]*$/;
/** Words that YAML 1.1 or 1.2 reads as something else, and signs that end a string or begin a comment. */
const ambiguous = /^(true|false|null|yes|no|on|off|y|n)$|: |:$| #| $/i;
/** Several printable lines, the first not indented and none but the last empty at the end. */
const lines = /^[^\s][\x20-\x7e\xa0-\ud7ff\n]*[^\s]\n?$/;

export function yamlText(value: unknown, indent = ''): string {
  if (Array.isArray(value) && value.length > 0)
    return value.map((item) => `${indent}- ${yamlText(item, `${indent}  `).trimStart()}`).join('\n');
  if (isBlock(value))
    return Object.entries(value)
      .map(([key, inner]) => `${indent}${quoted(key)}:${isBlock(inner) ? '\n' : ' '}${yamlText(inner, `${indent}  `)}`)
      .join('\n');
  return scalar(value, indent);
}

const isBlock = (value: unknown): value is object =>
  value !== null && typeof value === 'object' && Object.keys(value).length > 0;

function scalar(value: unknown, indent: string): string {
  if (typeof value !== 'string') return JSON.stringify(value) ?? 'null';
  if (!value.includes('\n') || !lines.test(value)) return quoted(value);
  const text = value.replace(/\n$/, '').split('\n');
  return `${value.endsWith('\n') ? '|' : '|-'}\n${text.map((line) => (line === '' ? '' : `${indent}${line}`)).join('\n')}`;
}

const quoted = (text: string) => (plain.test(text) && !ambiguous.test(text) ? text : JSON.stringify(text));
