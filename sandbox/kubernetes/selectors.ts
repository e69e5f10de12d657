/** Label and field selectors, as lists, watches and controllers use them. */
import type { KubeObject, LabelSelector } from './object.ts';
import { isTree } from './object.ts';
import type { ResourceType } from './resources.ts';
import { storageKey } from './resources.ts';
import { badRequest } from './status.ts';

export type Labels = Record<string, string>;
export type Predicate = (object: KubeObject) => boolean;

/** Cuts at commas outside parentheses. */
function splitRequirements(text: string): string[] {
  return text
    .split(/,(?![^(]*\))/)
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function requirement(text: string): (labels: Labels) => boolean {
  const set = /^(\S+)\s+(in|notin)\s+\(([^)]*)\)$/.exec(text);
  if (set) {
    const [, key = '', operator, list = ''] = set;
    const values = list.split(',').map((value) => value.trim());
    const isIn = (labels: Labels) => labels[key] !== undefined && values.includes(labels[key]);
    return operator === 'in' ? isIn : (labels) => !isIn(labels);
  }
  const equality = /^([^\s!=]+)\s*(==|!=|=)\s*([^\s=!]*)$/.exec(text);
  if (equality) {
    const [, key = '', operator, value = ''] = equality;
    return operator === '!=' ? (labels) => labels[key] !== value : (labels) => labels[key] === value;
  }
  if (/^!?[\w./-]+$/.test(text)) {
    return text.startsWith('!') ? (labels) => !(text.slice(1) in labels) : (labels) => text in labels;
  }
  throw badRequest(`unable to parse requirement: found '${text}', expected: a label selector`);
}

/** `a=b,c!=d,e in (f,g),!h` as a test of labels. */
export function parseLabelSelector(text: string): (labels: Labels) => boolean {
  const requirements = splitRequirements(text).map(requirement);
  return (labels) => requirements.every((test) => test(labels));
}

/** A selector of a workload as a test of labels; an empty one selects nothing, as controllers demand one. */
export function matchesSelector(selector: LabelSelector | undefined, labels: Labels): boolean {
  const wanted = Object.entries(selector?.matchLabels ?? {});
  const expressions = selector?.matchExpressions ?? [];
  if (wanted.length + expressions.length === 0) return false;
  const holds = (expression: (typeof expressions)[number]) => {
    const value = labels[expression.key];
    const listed = value !== undefined && (expression.values ?? []).includes(value);
    if (expression.operator === 'In') return listed;
    if (expression.operator === 'NotIn') return !listed;
    return expression.operator === 'Exists' ? value !== undefined : value === undefined;
  };
  return wanted.every(([key, value]) => labels[key] === value) && expressions.every(holds);
}

/** `matchLabels` and `matchExpressions` as the text a list takes. */
export function selectorText(selector: LabelSelector | undefined): string {
  const equalities = Object.entries(selector?.matchLabels ?? {}).map(([key, value]) => `${key}=${value}`);
  const expressions = (selector?.matchExpressions ?? []).map(({ key, operator, values = [] }) => {
    if (operator === 'Exists') return key;
    return operator === 'DoesNotExist' ? `!${key}` : `${key} ${operator.toLowerCase()} (${values.join(',')})`;
  });
  return [...equalities, ...expressions].join(',');
}

// Beyond metadata.name and metadata.namespace, each kind offers few fields to select by.
const SELECTABLE: Record<string, string[]> = {
  '/pods': ['spec.nodeName', 'spec.restartPolicy', 'spec.serviceAccountName', 'status.phase', 'status.podIP'],
  '/events': [
    'involvedObject.kind',
    'involvedObject.name',
    'involvedObject.namespace',
    'involvedObject.uid',
    'reason',
    'type',
  ],
  '/secrets': ['type'],
  '/namespaces': ['status.phase'],
  'batch/jobs': ['status.successful'],
};

function fieldOf(object: KubeObject, path: string): string {
  let value: unknown = object;
  for (const key of path.split('.')) value = isTree(value) ? value[key] : undefined;
  return value === undefined ? '' : String(value);
}

/** `metadata.name=a,status.phase!=Running` as a test of objects; a field the kind does not offer is an error. */
export function parseFieldSelector(type: ResourceType, text: string): Predicate {
  const fields = ['metadata.name', 'metadata.namespace', ...(SELECTABLE[storageKey(type)] ?? [])];
  const tests = splitRequirements(text).map((part): Predicate => {
    const [, path = '', operator, value = ''] = /^([^!=]+)(==|!=|=)(.*)$/.exec(part) ?? [];
    if (path === '') throw badRequest(`invalid selector: '${part}'; can't understand '${part}'`);
    if (!fields.includes(path)) throw badRequest(`field label not supported: ${path}`);
    return operator === '!=' ? (o) => fieldOf(o, path) !== value : (o) => fieldOf(o, path) === value;
  });
  return (object) => tests.every((test) => test(object));
}

/** Both selectors of a request as one test. */
export function selection(type: ResourceType, labelSelector: string | null, fieldSelector: string | null): Predicate {
  const byLabels = parseLabelSelector(labelSelector ?? '');
  const byFields = parseFieldSelector(type, fieldSelector ?? '');
  return (object) => byLabels(object.metadata.labels ?? {}) && byFields(object);
}
