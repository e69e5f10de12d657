/** Reads the subset of PromQL that the sandbox knows; anything else is a parse error with its place. */

export interface Matcher {
  name: string;
  operator: '=' | '!=' | '=~' | '!~';
  value: string;
}

export interface Grouping {
  by: boolean;
  labels: string[];
}

export interface Matching {
  on: boolean;
  labels: string[];
  /** Labels taken over from the one side, in a many-to-one match (`group_left`). */
  include?: string[];
}

export type Expression =
  | { kind: 'number'; value: number }
  | { kind: 'string'; value: string }
  | {
      kind: 'selector';
      name: string | undefined;
      matchers: Matcher[];
      rangeMs?: number;
      stepMs?: number;
      /** How long before the moment that is asked about. */
      offsetMs?: number;
    }
  | { kind: 'call'; name: string; args: Expression[] }
  | { kind: 'aggregate'; operator: string; grouping: Grouping; parameter?: Expression; argument: Expression }
  | { kind: 'negate'; argument: Expression }
  | {
      kind: 'binary';
      operator: string;
      left: Expression;
      right: Expression;
      bool: boolean;
      matching?: Matching;
    };

/** What is wrong, and where: `1:5: parse error: …`. */
export class PromqlError extends Error {}

type Token = { type: 'number' | 'string' | 'name' | 'duration' | 'symbol' | 'end'; text: string; at: number };

const AGGREGATES = new Set(['sum', 'avg', 'min', 'max', 'count', 'group', 'topk', 'bottomk']);
const PARAMETERED = new Set(['topk', 'bottomk']);
export const FUNCTIONS = new Set([
  'abs',
  'absent',
  'avg_over_time',
  'ceil',
  'clamp_max',
  'clamp_min',
  'count_over_time',
  'delta',
  'floor',
  'histogram_quantile',
  'increase',
  'irate',
  'label_replace',
  'last_over_time',
  'max_over_time',
  'min_over_time',
  'rate',
  'round',
  'scalar',
  'sum_over_time',
  'time',
  'vector',
]);

/** Weakest first. */
const PRECEDENCE: string[][] = [
  ['or'],
  ['and', 'unless'],
  ['==', '!=', '>=', '<=', '>', '<'],
  ['+', '-'],
  ['*', '/', '%'],
];

const TOKEN =
  /(?<space>\s+|#[^\n]*)|(?<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)|(?<duration>(?:\d+(?:ms|[smhdwy]))+)|(?<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?Inf\b|NaN\b)|(?<name>[A-Za-z_:][\w:]*)|(?<symbol>=~|!~|==|!=|>=|<=|[-+*/%^<>={}()[\],@])/y;

const UNITS: Record<string, number> = {
  ms: 1,
  s: 1e3,
  m: 6e4,
  h: 3.6e6,
  d: 8.64e7,
  w: 6.048e8,
  y: 3.1536e10,
};

/** Milliseconds of a Prometheus duration such as `1h30m`; undefined when it is none. */
export function parseDuration(text: string): number | undefined {
  if (!/^(\d+(ms|[smhdwy]))+$/.test(text)) return undefined;
  return [...text.matchAll(/(\d+)(ms|[smhdwy])/g)].reduce(
    (sum, [, n, unit = 's']) => sum + Number(n) * (UNITS[unit] ?? 0),
    0,
  );
}

function errorAt(at: number, message: string): PromqlError {
  return new PromqlError(`1:${at + 1}: parse error: ${message}`);
}

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (!match?.groups) throw errorAt(at, `unexpected character: ${JSON.stringify(text[at])}`);
    const [type, value] = Object.entries(match.groups).find(([, found]) => found !== undefined) ?? ['space', ''];
    if (type !== 'space') tokens.push({ type: type as Token['type'], text: value ?? '', at });
  }
  return [...tokens, { type: 'end', text: 'end of input', at: text.length }];
}

function unquote(token: Token): string {
  const inner = token.text.slice(1, -1);
  if (token.text.startsWith('`')) return inner;
  const escapes: Record<string, string> = { n: '\n', t: '\t', r: '\r' };
  return inner.replace(/\\(.)/g, (_, letter: string) => escapes[letter] ?? letter);
}

/** The expression a query says; throws PromqlError. */
export function parseQuery(text: string): Expression {
  if (text.trim() === '') throw new PromqlError('unknown position: parse error: no expression found in input');
  const parser = new Parser(tokenize(text));
  return parser.whole();
}

class Parser {
  readonly #tokens: Token[];
  #next = 0;

  constructor(tokens: Token[]) {
    this.#tokens = tokens;
  }

  whole(): Expression {
    const expression = this.#binary(0);
    const rest = this.#peek();
    if (rest.type !== 'end')
      throw errorAt(rest.at, `unexpected "${rest.text}": not in the subset of PromQL that is served here`);
    return expression;
  }

  #peek(): Token {
    return this.#tokens[this.#next] ?? { type: 'end', text: 'end of input', at: 0 };
  }

  #take(): Token {
    const token = this.#peek();
    this.#next += 1;
    return token;
  }

  #accept(...texts: string[]): Token | undefined {
    const token = this.#peek();
    return token.type !== 'string' && token.type !== 'end' && texts.includes(token.text) ? this.#take() : undefined;
  }

  #expect(text: string, where: string): Token {
    const found = this.#accept(text);
    if (found) return found;
    const token = this.#peek();
    throw errorAt(token.at, `unexpected "${token.text}" in ${where}, expected "${text}"`);
  }

  #binary(level: number): Expression {
    const operators = PRECEDENCE[level];
    if (!operators) return this.#unary();
    let left = this.#binary(level + 1);
    for (let token = this.#accept(...operators); token; token = this.#accept(...operators)) {
      const operator = token.text;
      const bool = this.#accept('bool') !== undefined;
      const matching = this.#matching();
      const right = this.#binary(level + 1);
      left = { kind: 'binary', operator, left, right, bool, ...(matching ? { matching } : {}) };
    }
    return left;
  }

  #matching(): Matching | undefined {
    const word = this.#accept('on', 'ignoring');
    if (!word) return undefined;
    const labels = this.#names();
    const isMany = this.#accept('group_left') !== undefined;
    if (!isMany) return { on: word.text === 'on', labels };
    return { on: word.text === 'on', labels, include: this.#peek().text === '(' ? this.#names() : [] };
  }

  #names(): string[] {
    this.#expect('(', 'grouping');
    const names: string[] = [];
    while (!this.#accept(')')) {
      const token = this.#take();
      if (token.type !== 'name') throw errorAt(token.at, `unexpected "${token.text}" in grouping, expected label`);
      names.push(token.text);
      if (!this.#accept(',') && this.#peek().text !== ')') this.#expect(')', 'grouping');
    }
    return names;
  }

  #unary(): Expression {
    if (this.#accept('+')) return this.#unary();
    if (this.#accept('-')) return { kind: 'negate', argument: this.#unary() };
    return this.#primary();
  }

  #primary(): Expression {
    const token = this.#take();
    if (token.type === 'number') return { kind: 'number', value: Number(token.text.replace('Inf', 'Infinity')) };
    if (token.type === 'string') return { kind: 'string', value: unquote(token) };
    if (token.text === '(' && token.type === 'symbol') {
      const inner = this.#binary(0);
      this.#expect(')', 'parentheses');
      return inner;
    }
    if (token.text === '{' && token.type === 'symbol') return this.#selector(undefined, token);
    if (token.type !== 'name') throw errorAt(token.at, `unexpected "${token.text}"`);
    const opens = this.#peek().text === '(';
    if (AGGREGATES.has(token.text) && (opens || ['by', 'without'].includes(this.#peek().text))) {
      return this.#aggregate(token.text);
    }
    return opens ? this.#call(token) : this.#selector(token.text, token);
  }

  #aggregate(operator: string): Expression {
    let grouping = this.#grouping();
    this.#expect('(', 'aggregation');
    const parameter = PARAMETERED.has(operator) ? this.#binary(0) : undefined;
    if (parameter) this.#expect(',', 'aggregation');
    const argument = this.#binary(0);
    this.#expect(')', 'aggregation');
    grouping ??= this.#grouping();
    const whole = { kind: 'aggregate', operator, grouping: grouping ?? { by: true, labels: [] }, argument } as const;
    return parameter ? { ...whole, parameter } : whole;
  }

  #grouping(): Grouping | undefined {
    const word = this.#accept('by', 'without');
    return word && { by: word.text === 'by', labels: this.#names() };
  }

  #call(name: Token): Expression {
    if (!FUNCTIONS.has(name.text)) throw errorAt(name.at, `unknown function with name "${name.text}"`);
    this.#expect('(', 'function call');
    const args: Expression[] = [];
    while (!this.#accept(')')) {
      args.push(this.#binary(0));
      if (!this.#accept(',') && this.#peek().text !== ')') this.#expect(')', 'function call');
    }
    return { kind: 'call', name: name.text, args };
  }

  #selector(name: string | undefined, start: Token): Expression {
    const matchers: Matcher[] = [];
    if (name === undefined || this.#accept('{')) this.#matchers(matchers);
    if (name === undefined && matchers.every(matchesEmpty)) {
      throw errorAt(start.at, 'vector selector must contain at least one non-empty matcher');
    }
    if (!this.#accept('[')) return { kind: 'selector', name, matchers, ...this.#offset() };
    const rangeMs = this.#duration();
    const stepMs = this.#step();
    this.#expect(']', 'range selector');
    return {
      kind: 'selector',
      name,
      matchers,
      rangeMs,
      ...(stepMs === undefined ? {} : { stepMs }),
      ...this.#offset(),
    };
  }

  #offset(): { offsetMs: number } | undefined {
    return this.#accept('offset') && { offsetMs: this.#duration() };
  }

  #duration(): number {
    const token = this.#take();
    const ms = token.type === 'duration' ? parseDuration(token.text) : undefined;
    if (ms === undefined) throw errorAt(token.at, `not a valid duration string: "${token.text}"`);
    return ms;
  }

  /** The step of a subquery, `[1h:5m]`; `:5m` reads like a name, which may begin with a colon. */
  #step(): number | undefined {
    if (!/^:\d/.test(this.#peek().text)) return undefined;
    const token = this.#take();
    const stepMs = parseDuration(token.text.slice(1));
    if (stepMs === undefined || stepMs === 0)
      throw errorAt(token.at, `not a valid duration string: "${token.text.slice(1)}"`);
    return stepMs;
  }

  #matchers(matchers: Matcher[]): void {
    while (!this.#accept('}')) {
      const label = this.#take();
      if (label.type !== 'name')
        throw errorAt(label.at, `unexpected "${label.text}" in label matching, expected identifier or "}"`);
      const operator = this.#accept('=', '!=', '=~', '!~');
      if (!operator)
        throw errorAt(this.#peek().at, `unexpected "${this.#peek().text}" in label matching, expected operator`);
      const value = this.#take();
      if (value.type !== 'string')
        throw errorAt(value.at, `unexpected "${value.text}" in label matching, expected string`);
      const matcher = { name: label.text, operator: operator.text as Matcher['operator'], value: unquote(value) };
      compileMatcher(matcher, value.at);
      matchers.push(matcher);
      if (!this.#accept(',') && this.#peek().text !== '}') this.#expect('}', 'label matching');
    }
  }
}

/** A regular expression as Prometheus means it: of the whole text. */
export function wholePattern(expression: string, at = 0): RegExp {
  try {
    return new RegExp(`^(?:${expression})$`, 's');
  } catch {
    throw errorAt(at, `error parsing regexp: ${expression}`);
  }
}

function compileMatcher({ operator, value }: Matcher, at = 0): (text: string) => boolean {
  if (operator === '=') return (text) => text === value;
  if (operator === '!=') return (text) => text !== value;
  const pattern = wholePattern(value, at);
  return operator === '=~' ? (text) => pattern.test(text) : (text) => !pattern.test(text);
}

/** The matchers of a selector as a test of labels. */
export function compileMatchers(matchers: readonly Matcher[]): (labels: Record<string, string>) => boolean {
  const tests = matchers.map((matcher) => ({ name: matcher.name, test: compileMatcher(matcher) }));
  return (labels) => tests.every(({ name, test }) => test(labels[name] ?? ''));
}

function matchesEmpty(matcher: Matcher): boolean {
  return compileMatcher(matcher)('');
}
