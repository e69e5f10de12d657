/**
 * Writes YAML of maps, lists, texts, numbers and bools: all that generated files hold. The library's writer takes most of
 * the time of rendering a thousand objectives (bench/slo.ts); this one leaves out all it can do and rules do not need.
 * Texts stay on one line and, where YAML lets them, without quotes, so that an expression can be read and copied.
 */
export function writeYaml(value: object): string {
  const lines: string[] = [];
  writeNode(value, '', lines);
  return `${lines.join('\n')}\n`;
}

function writeNode(value: object, indent: string, lines: string[]): void {
  if (Array.isArray(value)) {
    for (const item of value) writeItem(item, indent, lines);
    return;
  }
  for (const [key, inside] of Object.entries(value)) if (inside !== undefined) writeEntry(key, inside, indent, lines);
}

function writeItem(item: unknown, indent: string, lines: string[]): void {
  if (!isFilled(item)) {
    lines.push(`${indent}- ${scalar(item, indent)}`);
    return;
  }
  const first = lines.length;
  writeNode(item, `${indent}  `, lines);
  // The first line of the item carries its dash.
  lines[first] = `${indent}- ${lines[first]?.slice(indent.length + 2) ?? ''}`;
}

function writeEntry(key: string, inside: unknown, indent: string, lines: string[]): void {
  const name = `${indent}${isPlain(key) ? key : quoted(key)}:`;
  if (!isFilled(inside)) lines.push(`${name} ${scalar(inside, indent)}`);
  else {
    lines.push(name);
    writeNode(inside, `${indent}  `, lines);
  }
}

function isFilled(value: unknown): value is object {
  return (
    typeof value === 'object' && value !== null && (Array.isArray(value) ? value.length : Object.keys(value).length) > 0
  );
}

function scalar(value: unknown, indent: string): string {
  if (typeof value !== 'string')
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? '{}' : JSON.stringify(value);
  if (isPlain(value)) return value;
  // A block keeps lines as they are; it cannot begin with a blank, nor hold what cannot be printed.
  if (/^[^\s].*\n/.test(value) && /^[\n\x20-\x7E\u00A0-\uD7FF\uE000-\uFEFE\uFF00-\uFFFD]*[^\s]\n?$/.test(value))
    return `${value.endsWith('\n') ? '|' : '|-'}\n${value.replace(/\n$/, '').replaceAll(/^(?=.)/gm, `${indent}  `)}`;
  return quoted(value);
}

function quoted(text: string): string {
  return JSON.stringify(text).replaceAll(/[\u007F-\u009F\u2028\u2029\uFEFF\uFFFE\uFFFF]/g, escaped);
}

const escaped = (c: string) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** Words YAML 1.1 or 1.2 reads as something else than a text. */
const words = /^(true|false|null|yes|no|on|off|y|n|nan|inf|infinity)$/i;

/** A duration, or what begins with a letter or a parenthesis and holds nothing that ends a text. */
function isPlain(text: string): boolean {
  if (/^([0-9]+(ms|s|m|h|d))+$/.test(text)) return true;
  return /^[A-Za-z_(/][\x20-\x7E§…°–]*$/.test(text) && !/: |:$| #|\s$/.test(text) && !words.test(text);
}
