/** The draft of a post-incident review, as Markdown. Pure: what is known in, text out. */
import type { RecordedEntry } from '../audit/record.ts';
import { formatDuration } from '../catalog/duration.ts';
import type { FactReading } from '../check/check.ts';
import type { Incident } from '../incident/incident.ts';
import type { Entry } from './journal.ts';
import { markdownText as text } from './markdown.ts';
import type { RunSummary } from './run-queries.ts';

/** Times are milliseconds since the epoch. */
export interface ReviewMaterial {
  incident: Incident;
  /** Incidents that were merged into it. */
  merged: readonly Incident[];
  alerts: readonly {
    name: string;
    labels: Readonly<Record<string, string>>;
    startsAt: number;
    endsAt: number | undefined;
  }[];
  /** Alerts in all; those given may be the first of many. */
  alertCount: number;
  /** Oldest first. */
  timeline: readonly RecordedEntry[];
  /** True when the timeline goes on behind what is given. */
  more: boolean;
  runs: readonly { run: RunSummary; revision: string | undefined; journal: readonly Entry[] }[];
}

export function reviewText(material: ReviewMaterial): string {
  const { incident } = material;
  return `${[
    `# Review: ${incident.severity} ${text(incident.title)}`,
    `Draft from the record of incident ${text(incident.id)}. What it says happened is on record; why it happened is for people to find out.`,
    summary(material),
    impact(material),
    clocks(material),
    automation(material),
    people(material),
    timeline(material),
    questions(material),
  ].join('\n\n')}\n`;
}

const utc = (at: number) => new Date(at).toISOString().replace('T', ' ').replace('.000Z', 'Z').replace('Z', ' UTC');
const rows = (cells: readonly (readonly [string, string])[]) =>
  ['| | |', '|---|---|', ...cells.map(([name, value]) => `| ${name} | ${value} |`)].join('\n');

function summary({ incident, merged, alertCount, runs }: ReviewMaterial): string {
  const verified = runs.filter(({ run }) => run.reason === 'Verified').length;
  const cells: [string, string][] = [
    ['Type', text(incident.type)],
    ['Organization', text(incident.organization ?? 'the Sovereign itself')],
    ['Severity', incident.severity],
    ['State', incident.resolvedHow === undefined ? incident.state : `${incident.state} (${incident.resolvedHow})`],
    ['Alerts', String(alertCount)],
    ['Runs', `${runs.length}, ${verified} of them verified`],
  ];
  if (incident.resolution !== undefined) cells.push(['Resolution', text(incident.resolution)]);
  if (incident.causedBy !== undefined)
    cells.push(['Follows from', `${text(incident.causedBy)}: ${text(incident.causedBySentence ?? '')}`]);
  if (incident.splitFrom !== undefined) cells.push(['Split from', text(incident.splitFrom)]);
  if (incident.mergedInto !== undefined) cells.push(['Merged into', text(incident.mergedInto)]);
  for (const other of merged) cells.push(['Took over', `${text(other.id)}: ${other.severity} ${text(other.title)}`]);
  return `## Summary\n\n${rows(cells)}`;
}

function impact({ incident, alerts }: ReviewMaterial): string {
  const began = Math.min(incident.openedAt, ...alerts.map(({ startsAt }) => startsAt));
  const ended = incident.resolvedAt;
  const lasted = ended === undefined ? 'It goes on.' : formatDuration(Math.max(0, ended - began));
  const cells: [string, string][] = [
    ['First alert', utc(began)],
    ['Opened', utc(incident.openedAt)],
    ['Acknowledged', moment(incident.acknowledgedAt, incident.acknowledgedBy)],
    ['Mitigated', moment(incident.mitigatedAt, undefined)],
    ['Resolved', moment(ended, incident.resolvedBy)],
    ['From the first alert to the end', lasted],
  ];
  const seen = alerts.map(({ name, labels }) => {
    const where = Object.entries(labels).filter(([key]) => key !== 'alertname');
    return `- ${text(name)}${where.length > 0 ? `: ${text(where.map(([key, value]) => `${key}=${value}`).join(', '))}` : ''}`;
  });
  return `## Impact\n\n${rows(cells)}\n\n${seen.join('\n')}`.trimEnd();
}

function moment(at: number | undefined, by: string | undefined): string {
  if (at === undefined) return 'never';
  return by === undefined ? utc(at) : `${utc(at)} by ${text(by)}`;
}

function clocks({ incident, timeline: entries }: ReviewMaterial): string {
  const answered = incident.acknowledgedAt ?? incident.resolvedAt;
  const due = utc(incident.respondBy);
  const lines =
    answered === undefined
      ? [`Nobody has acknowledged it. It was due by ${due}.`]
      : answered <= incident.respondBy
        ? [`Kept: it was due by ${due} and answered ${formatDuration(incident.respondBy - answered)} before.`]
        : [`Missed: it was due by ${due} and answered ${formatDuration(answered - incident.respondBy)} after.`];
  const ofClock = ['incident.escalated', 'incident.reopened', 'incident.severityChanged'];
  for (const entry of entries)
    if (ofClock.includes(entry.kind)) lines.push(`${utc(entry.at)}: ${text(entry.sentence)}`);
  return `## Response clock (§13.1)\n\n${lines.map((line) => `- ${line}`).join('\n')}`;
}

function automation({ runs }: ReviewMaterial): string {
  if (runs.length === 0) return '## What automation did\n\nNo runbook ran.';
  const parts = runs.map(({ run, revision, journal }) => {
    const version = revision === undefined ? '' : ` at ${text(revision.slice(0, 12))}`;
    const head = [
      `### ${text(run.runbook)}${version}: ${run.outcome ?? run.state}`,
      '',
      `Run ${text(run.id)}, mode ${run.mode}, asked for by ${text(run.requestedBy)}. ${text(run.sentence)}`,
    ];
    const lines = journal.flatMap(journalLines);
    return [...head, ...(lines.length > 0 ? ['', ...lines] : [])].join('\n');
  });
  return `## What automation did\n\n${parts.join('\n\n')}`;
}

/** What was intended with which values, what came of it, and what verifications saw. */
function journalLines(entry: Entry): string[] {
  const at = utc(entry.at);
  switch (entry.kind) {
    case 'Prepared':
      return [
        `- ${at}: ${text(entry.data.confirmation)}`,
        ...entry.data.preconditions.map(
          ({ source, value, error }) => `  - precondition ${text(source)}: ${text(error ?? value)}`,
        ),
      ];
    case 'StepStarted':
      return [`- ${at}: ${text(entry.data.action)} with ${text(entry.data.input)} (${entry.data.effect})`];
    case 'StepSucceeded':
    case 'StepFailed':
    case 'VerifyHolds':
    case 'VerifyBroke':
      return [`- ${at}: ${text(entry.sentence)}`, ...readings(entry.data.readings)];
    case 'ApprovalRequested':
    case 'ApprovalDecided':
    case 'RollbackStarted':
    case 'Ended':
      return [`- ${at}: ${text(entry.sentence)}`];
    default:
      return [];
  }
}

function readings(read: readonly FactReading[]): string[] {
  return read.map(({ fact, value, error }) => `  - ${text(fact)} = ${text(error ?? value)}`);
}

function people({ timeline: entries }: ReviewMaterial): string {
  const did = new Map<string, number>();
  for (const { actor } of entries) if (/^(user|token)\//.test(actor)) did.set(actor, (did.get(actor) ?? 0) + 1);
  const lines = [...did].map(([actor, count]) => `- ${text(actor)}: ${count} ${count === 1 ? 'entry' : 'entries'}`);
  return `## People\n\n${lines.length > 0 ? lines.join('\n') : 'Nobody acted on it.'}`;
}

function timeline({ timeline: entries, more }: ReviewMaterial): string {
  const lines = entries.map(
    ({ at, sentence, actor, incidentId }, index) =>
      `| ${utc(at)} | ${text(actor)} | ${text(sentence)}${entries[index - 1]?.incidentId === incidentId || index === 0 ? '' : ` (${text(incidentId ?? '')})`} |`,
  );
  const rest = more ? '\n\nIt goes on: the record has all of it.' : '';
  return `## Timeline\n\n| When | Who | What |\n|---|---|---|\n${lines.join('\n')}${rest}`;
}

function questions({ incident, runs }: ReviewMaterial): string {
  const open = [
    'What was the cause?',
    'Who was harmed, and how?',
    'What made it longer than it had to be?',
    ...(runs.some(({ run }) => run.outcome === 'Failed' || run.outcome === 'RolledBack')
      ? ['Why did a runbook fail?']
      : []),
    ...(runs.length === 0 ? ['Could a runbook have done it?'] : []),
    ...(incident.escalatedAt !== undefined ? ['Why did nobody answer in time?'] : []),
  ];
  const boxes = (lines: readonly string[]) => lines.map((line) => `- [ ] ${line}`).join('\n');
  return `## Open questions\n\n${boxes(open)}\n\n## Action items\n\n${boxes(['What, who, by when', 'What, who, by when'])}`;
}
