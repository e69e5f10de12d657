/** A declared document as YAML to read, not to load: block style, strings quoted only where YAML would read something else. */

/** What a plain scalar may be: no sign that means something at its beginning, no `: ` and no ` #` within. */
const plain = /^[A-Za-z0-9_./$(][^\n]*$/;
const ambiguous = /^(true|false|null|yes|no|on|off|~)$|^[-+]?[\d.]+(e[-+]?\d+)?$|: |:$| #|\s$/i;

export function yamlText(value: unknown, indent = ''): string {
  if (Array.isArray(value))
    return value.length === 0
      ? '[]'
      : value.map((item) => `${indent}- ${nested(item, `${indent}  `).trimStart()}`).join('\n');
  if (value !== null && typeof value === 'object') {
    const entries = Object.entries(value);
    if (entries.length === 0) return '{}';
    return entries.map(([key, inner]) => `${indent}${scalar(key, indent)}:${after(inner, indent)}`).join('\n');
  }
  return scalar(value, indent);
}

const isBlock = (value: unknown) => value !== null && typeof value === 'object' && Object.keys(value).length > 0;
const nested = (value: unknown, indent: string) => (isBlock(value) ? yamlText(value, indent) : scalar(value, indent));
const after = (value: unknown, indent: string) =>
  isBlock(value) ? `\n${yamlText(value, `${indent}  `)}` : ` ${yamlText(value, `${indent}  `)}`;

function scalar(value: unknown, indent: string): string {
  if (typeof value !== 'string') return JSON.stringify(value) ?? 'null';
  if (value.includes('\n'))
    return `|\n${value
      .replace(/\n$/, '')
      .split('\n')
      .map((line) => `${indent}${line}`)
      .join('\n')}`;
  return plain.test(value) && !ambiguous.test(value) ? value : JSON.stringify(value);
}
