/** Recording rules, as `catalyst-sre render prometheus` writes them: evaluated in their order, each sees those before it. */
import { COARSE_STEP_MS, Database, type Queryable } from './database.ts';
import { evaluate } from './evaluate.ts';
import { type Expression, PromqlError, parseQuery } from './syntax.ts';
import { withoutName } from './value.ts';

export interface RecordingRule {
  record: string;
  expr: string;
  labels?: Record<string, string>;
}

interface Rule {
  record: string;
  labels: Record<string, string>;
  expression: Expression;
  /** Of this rule alone, so that what it records ends when it gives nothing more, and nothing else does. */
  database: Database;
}

export class Recording implements Queryable {
  readonly #scraped: Queryable;
  #rules: Rule[] = [];
  #next = 0;

  /** @param scraped what the rules are about, beside what other rules record */
  constructor(scraped: Queryable) {
    this.#scraped = scraped;
  }

  /**
   * Takes rules into use. What can be told of the past from what was scraped, moment by moment, is recorded as if they had
   * always run; that is said of nothing else. Rules outside of the subset of PromQL are left out.
   */
  load(rules: readonly RecordingRule[], from: number, now: number): void {
    this.#rules = rules.flatMap(({ record, expr, labels = {} }) => {
      const expression = parsed(expr);
      return expression === undefined ? [] : [{ record, labels, expression, database: new Database() }];
    });
    const recorded = new Set(rules.map(({ record }) => record));
    const told = new Set<string>();
    const isThere = (name: string) =>
      recorded.has(name) ? told.has(name) : this.#scraped.select(name, () => true).length > 0;
    const measured = this.#rules.filter(({ record, expression }) => {
      const read = selectorsIn(expression);
      const sumsRecorded = read.some(({ name = '', rangeMs }) => rangeMs !== undefined && recorded.has(name));
      const canBeTold = !sumsRecorded && read.some(({ name = '' }) => isThere(name));
      if (canBeTold) told.add(record);
      return canBeTold;
    });
    for (let time = from; time < now; time += COARSE_STEP_MS) for (const rule of measured) this.#record(rule, time);
    this.#next = now;
  }

  tick(now: number): void {
    if (now < this.#next) return;
    // The step of what is kept for long: sums over time weigh every sample alike.
    this.#next = now + COARSE_STEP_MS;
    for (const rule of this.#rules) this.#record(rule, now);
  }

  select(...[name, test]: Parameters<Queryable['select']>): ReturnType<Queryable['select']> {
    const rules = name === undefined ? this.#rules : this.#rules.filter(({ record }) => record === name);
    return [...this.#scraped.select(name, test), ...rules.flatMap(({ database }) => database.select(name, test))];
  }

  #record(rule: Rule, time: number): void {
    rule.database.append(time, this.#samplesOf(rule, time));
  }

  #samplesOf({ record, labels, expression }: Rule, time: number) {
    const result = evaluate(expression, this, time);
    const samples = result.type === 'vector' ? result.samples : [];
    return samples.map((sample) => ({
      labels: { ...withoutName(sample.labels), ...labels, __name__: record },
      value: sample.value,
    }));
  }
}

function parsed(expr: string): Expression | undefined {
  try {
    return parseQuery(expr);
  } catch (error) {
    if (error instanceof PromqlError) return undefined;
    throw error;
  }
}

/** What an expression reads. */
function selectorsIn(expression: Expression): Extract<Expression, { kind: 'selector' }>[] {
  switch (expression.kind) {
    case 'selector':
      return [expression];
    case 'call':
      return expression.args.flatMap(selectorsIn);
    case 'aggregate':
    case 'negate':
      return selectorsIn(expression.argument);
    case 'binary':
      return [...selectorsIn(expression.left), ...selectorsIn(expression.right)];
    default:
      return [];
  }
}
