/** Makes the checks of an IncidentType ready to be looked at. Pure. */
import { type Check, ExpressionError, type Language } from '../check/check.ts';
import { parseDuration } from './duration.ts';
import type { IncidentType } from './kinds/incident-type.ts';
import { onLine, type Positions } from './positions.ts';
import type { Problem } from './resource.ts';
import type { Path } from './schema.ts';

/** A check that recognises an incident. Durations in ms. */
export interface CompiledRecognition {
  /** Unique among all: Organization, type and name. */
  name: string;
  type: string;
  title: string;
  organization: string | undefined;
  check: Check;
  for: number;
  every: number;
  labels: Readonly<Record<string, string>>;
}

const defaultEvery = 30_000;
/** More often would be a load on the systems asked, for nothing: no person answers within seconds. */
const leastEvery = 5_000;

export function compileRecognition(
  { spec, metadata, provenance }: IncidentType,
  language: Language,
  positions: Positions = onLine(provenance.line),
): { checks: CompiledRecognition[]; problems: Problem[] } {
  const problems: Problem[] = [];
  const { source, file, organization } = provenance;
  const report = (rule: string, path: Path, sentence: string, offset?: number) => {
    const place = { source, file, resource: `IncidentType/${metadata.name}` };
    problems.push({ severity: 'error', rule, sentence, ...place, ...positions.value(path, offset) });
  };
  const declared = spec.recognise?.checks ?? [];
  if (declared.length === 0 && spec.recognisedBy.length === 0)
    report('never-recognised', ['spec', 'recognisedBy'], 'Nothing recognises it: name an alert or a check.');
  const checks = declared.flatMap((one, index): CompiledRecognition[] => {
    const path: Path = ['spec', 'recognise', 'checks', index];
    const durations = { for: parseDuration(one.for), every: one.every ? parseDuration(one.every) : defaultEvery };
    if (durations.for === undefined) report('bad-duration', [...path, 'for'], `${one.for} is not a duration.`);
    if (durations.every === undefined || durations.every < leastEvery)
      report('bad-duration', [...path, 'every'], `${one.every} is not a duration of at least 5s.`);
    if (declared.findIndex(({ name }) => name === one.name) < index)
      report('duplicate-name', [...path, 'name'], `There is another check ${one.name}.`);
    const check = compile(one.check, language, (rule, sentence, offset) =>
      report(rule, [...path, 'check'], sentence, offset),
    );
    if (!check) return [];
    if (check.variables.length > 0)
      report('unknown-variable', [...path, 'check'], `It reads ${check.variables.join(', ')}; there are only facts.`);
    const { title } = spec;
    const name = `${organization ?? ''}/${metadata.name}/${one.name}`;
    const labels = one.labels ?? {};
    const { for: holds = 0, every = defaultEvery } = durations;
    return [{ name, type: metadata.name, title, organization, check, for: holds, every, labels }];
  });
  return { checks: problems.length > 0 ? [] : checks, problems };
}

function compile(
  source: string,
  language: Language,
  report: (rule: string, sentence: string, offset: number) => void,
): Check | undefined {
  try {
    return language.check(source);
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    report(error.rule, error.message, error.offset);
    return undefined;
  }
}
