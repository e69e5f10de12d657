/**
 * What the API answers with, one schema per noun: validation, OpenAPI and the types of the console come from here.
 */
import Type, { type Static, type TSchema } from 'typebox';

const id = (of: string) => Type.String({ description: `Id of the ${of}; ids sort by time.` });
const time = (description: string) => Type.String({ format: 'date-time', description });
const text = (description: string) => Type.String({ description });
const count = (description: string) => Type.Integer({ description, minimum: 0 });
const json = (description: string) => Type.Unknown({ description });
const words = <const T extends readonly string[]>(values: T, description: string) =>
  Type.Unsafe<T[number]>(Type.String({ enum: [...values], description }));
const labels = (description: string) => Type.Record(Type.String(), Type.String(), { description });
const maybe = Type.Optional;
const organization = maybe(text('Organization it belongs to; absent for the Sovereign itself.'));

export const alertStates = ['Firing', 'Resolved', 'Superseded'] as const;
export const incidentStates = ['Open', 'Acknowledged', 'Mitigated', 'Resolved'] as const;
export const resolutions = ['Verified', 'Checked', 'Person', 'Forced', 'Merged', 'FalseAlarm'] as const;
export const severities = ['P1', 'P2', 'P3', 'P4'] as const;
export const runStates = ['Pending', 'AwaitingApproval', 'Running', 'RollingBack', 'Ended'] as const;
export const runOutcomes = [
  'Succeeded',
  'Suggested',
  'Refused',
  'Failed',
  'RolledBack',
  'Unknown',
  'Cancelled',
] as const;
export const approvalStates = ['Pending', 'Approved', 'Rejected', 'Expired'] as const;
export const sloStates = ['OK', 'Burning', 'Exhausted', 'NoData'] as const;
export const pageStates = ['Pending', 'Delivered', 'Failed'] as const;
export const modes = ['Suggest', 'Approval', 'Automatic'] as const;
/** The bricks of a view, for the other files of views. */
export { count, id, json, maybe, organization, text, time, words };

export const Alert = Type.Object(
  {
    id: id('alert'),
    name: text('Label alertname.'),
    organization,
    source: text('Name of the token that delivered it.'),
    fingerprint: text('Hash of the labels, as Alertmanager computes it.'),
    state: words(alertStates, 'Firing; Resolved; or Superseded by a newer firing of the same alert.'),
    labels: labels('Its labels.'),
    annotations: labels('Its annotations.'),
    generatorUrl: text("Link to the alert's expression."),
    externalUrl: text('Link to the Alertmanager that sent it.'),
    startsAt: time('When it started to fire.'),
    endsAt: maybe(time('When it ended.')),
    firstSeen: time('When it was first delivered.'),
    lastSeen: time('When it was last delivered.'),
    deliveries: count('How often it was delivered.'),
    incidentId: maybe(id('incident it belongs to')),
  },
  { description: 'One firing of one alert, from its start to its end.' },
);

export const DeadLetter = Type.Object(
  {
    id: text('Number of the delivery.'),
    receivedAt: time('When it came in.'),
    source: text('Name of the token that delivered it.'),
    organization,
    problem: text('Why it cannot be read.'),
    size: count('Its bytes.'),
    beginning: text('Its first bytes as text.'),
  },
  { description: 'A delivery that was kept but cannot be read.' },
);

export const Incident = Type.Object(
  {
    id: id('incident'),
    organization,
    type: text('Type of the incident: OpenBaoSealed.'),
    title: text('One line of what is wrong.'),
    severity: words(severities, 'P1 is worst.'),
    state: words(incidentStates, 'How far it has come.'),
    openedAt: time('When it was opened.'),
    respondBy: maybe(time('By when somebody has to take it.')),
    acknowledgedAt: maybe(time('When somebody took it.')),
    acknowledgedBy: maybe(text('Who took it.')),
    mitigatedAt: maybe(time('When a verified fix ended the harm.')),
    resolvedAt: maybe(time('When it was resolved.')),
    resolvedBy: maybe(text('Who, or what, resolved it.')),
    resolution: maybe(text('How it was resolved.')),
    resolvedHow: maybe(
      words(
        resolutions,
        'On whose word: Verified, a run verified its fix; Checked, its alerts were found not to fire; Person; Forced, while alerts fired; Merged; FalseAlarm.',
      ),
    ),
    mergedInto: maybe(id('incident that goes on in its place')),
    splitFrom: maybe(id('incident its alerts were taken out of')),
    causedBy: maybe(id('incident it follows from')),
    causedBySentence: maybe(text('Why it is thought to follow from that one.')),
    version: count('Grows with each change; send it along to change only what you saw.'),
  },
  { description: 'Something that is wrong, and what is done about it.' },
);

export const Run = Type.Object(
  {
    id: id('run'),
    runbook: text('Name of the runbook.'),
    organization,
    mode: words(modes, 'How far it may go by itself.'),
    state: words(runStates, 'Where it stands.'),
    outcome: maybe(words(runOutcomes, 'How it ended.')),
    reason: maybe(text('Why it ended so: one word of a closed list.')),
    sentence: text('What happened last, or in the end.'),
    trigger: json('What started it.'),
    inputs: json('The inputs it was given.'),
    target: maybe(text('The object it acts on.')),
    alertId: maybe(id('alert that started it')),
    incidentId: maybe(id('incident it belongs to')),
    requestedBy: text('Who started it: engine, token/<name>.'),
    cancelRequestedBy: maybe(text('Who asked for it to stop.')),
    createdAt: time('When it was created.'),
    actedAt: maybe(time('When it first changed something.')),
    endedAt: maybe(time('When it ended.')),
  },
  { description: 'One execution of one runbook.' },
);

export const JournalEntry = Type.Object(
  {
    seq: count('Counts from 1 within the run.'),
    at: time('When it was written.'),
    kind: text('What happened: a name of the journal.'),
    data: json('The facts of it.'),
  },
  { description: 'One entry of the journal of a run, written before the effect it announces.' },
);

const Trigger = Type.Array(Type.String(), { description: 'What starts it, in words.' });
const runbookProperties = {
  name: text('Name of the runbook.'),
  organization: maybe(text('Organization whose runbook it is; absent for those of the Sovereign.')),
  description: maybe(text('What it is for.')),
  mode: maybe(words(modes, 'How far it may go by itself; the default of the Sovereign where absent.')),
  triggers: Trigger,
  source: text('Catalog source it came from.'),
  revision: maybe(text('Commit, or resourceVersion.')),
  file: text('Path inside the source.'),
  line: count('Line of the document.'),
  digest: text('SHA-256 of the document.'),
};
export const Runbook = Type.Object(runbookProperties, { description: 'A runbook in use.' });
export const RunbookDetail = Type.Object(
  { ...runbookProperties, spec: json('spec as it was declared.') },
  { description: 'A runbook in use, with what it does.' },
);

const share = (description: string) => Type.Number({ description });
const standing = {
  state: words(
    sloStates,
    'OK; Burning, which is faster than the budget allows; Exhausted, when nothing of the budget is left; NoData, when nothing is known.',
  ),
  sentence: text('Why it stands so, and what to do where nothing is known.'),
  sli: maybe(share('Share of good events or moments over the last five minutes, 0 to 1.')),
  budgetLeft: maybe(share('Share of the error budget that is left: 1 is all of it, below 0 it is overspent.')),
  burnRates: Type.Array(
    Type.Object({
      window: text('Window: 1h.'),
      rate: share('How many times faster than the budget allows: 1 spends it exactly in its window.'),
    }),
    { description: 'Burn rates, shortest window first.' },
  ),
};
const sloProperties = {
  name: text('Name of the objective.'),
  title: text('What it is about.'),
  service: text('Service it belongs to.'),
  organization: maybe(text('Organization whose objective it is; absent for those of the Sovereign.')),
  handbook: Type.Array(text('Section: 9.1.'), { description: 'Sections of the SRE handbook it comes from.' }),
  organizations: Type.Array(text('Name of an Organization.'), {
    description: 'Organizations that have a budget of it, as far as the reader may see them.',
  }),
  objective: maybe(share('Share of good events or moments it asks for, 0 to 1; absent where it cannot be worked out.')),
  window: text('Rolling window of its error budget: 30d.'),
  ...standing,
};
export const Slo = Type.Object(sloProperties, {
  description: 'How a service level objective stands, by the worst of its budgets.',
});
export const SloDetail = Type.Object(
  {
    ...sloProperties,
    description: maybe(text('What is measured.')),
    budgets: Type.Array(
      Type.Object({ labels: labels('Labels whose combination has this budget.'), organization, ...standing }),
      { description: 'Its budgets, worst first.' },
    ),
  },
  { description: 'How a service level objective stands, with each of its budgets.' },
);

export const Decision = Type.Object(
  {
    id: text('Number of the decision.'),
    at: time('When it was made.'),
    alertId: id('alert it is about'),
    deliveryId: maybe(count('Number of the delivery it is about.')),
    outcome: words(['RunStarted', 'NotActed'] as const, 'What was decided.'),
    reason: text('Why: one word of a closed list.'),
    sentence: text('Why, as a sentence.'),
    runbook: maybe(text('The runbook that was taken.')),
    runId: maybe(id('run that was started')),
    considered: json('Every runbook that was looked at, and why it was or was not taken.'),
  },
  { description: 'What was done about a delivered alert, or why nothing was.' },
);

export const Approval = Type.Object(
  {
    id: id('approval'),
    runId: id('run that waits'),
    runbook: text('Name of the runbook.'),
    organization,
    step: count('Index of the step that asks, from 0.'),
    role: text('Role that may decide.'),
    plan: json('What will be done once it is approved.'),
    planDigest: text('SHA-256 of the plan; send it along to approve exactly this one.'),
    state: words(approvalStates, 'Where it stands.'),
    requestedAt: time('When it was asked for.'),
    expiresAt: time('When it expires.'),
    decidedBy: maybe(text('Who decided.')),
    decidedAt: maybe(time('When.')),
    comment: maybe(text('What they said.')),
  },
  { description: 'A question a run asks a person.' },
);

export const Page = Type.Object(
  {
    id: id('page'),
    receiver: text('Name of the receiver.'),
    organization,
    incidentId: maybe(id('incident it is about')),
    runId: maybe(id('run it is about')),
    severity: text('How urgent.'),
    subject: text('Its first line.'),
    body: text('Its text.'),
    state: words(pageStates, 'Whether it arrived.'),
    attempts: count('How often it was tried.'),
    lastError: maybe(text('Why the last try failed.')),
    createdAt: time('When it was written.'),
    deliveredAt: maybe(time('When the receiver took it.')),
  },
  { description: 'A message to a receiver.' },
);

const Reading = Type.Object(
  {
    fact: text('The call as it is written.'),
    value: maybe(json('What it said.')),
    error: maybe(text('Why it could not be read.')),
    at: time('When it was read; its age counts from here.'),
    took: Type.Number({ description: 'How long that took, ms.' }),
  },
  { description: 'One fact as it was seen.' },
);
const Evidence = Type.Object(
  {
    source: text('The expression.'),
    value: maybe(json('What it came to.')),
    error: maybe(text('Why it could not be told.')),
    readings: Type.Array(Reading, { description: 'The facts it read.' }),
  },
  { description: 'A check, what came of it, and what it saw.' },
);
const Obstacle = Type.Object(
  { reason: text('One word of a closed list.'), sentence: text('Why.') },
  { description: 'What stands in the way.' },
);
export const explanationVerdicts = ['Acts', 'AsksForApproval', 'Suggests', 'Waits', 'Refuses', 'NoRunbook'] as const;

export const RunbookExplanation = Type.Object(
  {
    at: time('When everything was looked at.'),
    verdict: words(explanationVerdicts, 'What a run would do next if it began now.'),
    reason: text('Why: one word of a closed list.'),
    sentence: text('Why, as a sentence.'),
    alert: maybe(
      Type.Object(
        { id: maybe(id('alert')), name: text('Its alertname.'), labels: labels('Its labels.'), organization },
        { description: 'The alert it is about.' },
      ),
    ),
    considered: Type.Array(
      Type.Object(
        { runbook: text('Its name.'), reason: text('One word of a closed list.'), sentence: text('Why.') },
        { description: 'A runbook that names the alert.' },
      ),
      { description: 'Every runbook that names the alert, best first.' },
    ),
    preview: maybe(
      Type.Object(
        {
          runbook: text('The runbook that was held against the world.'),
          mode: words(modes, 'The strictest of Sovereign, Organization and runbook.'),
          confirmation: text('Why the alert counts as firing, or as not.'),
          target: maybe(json('The object it would act on, bound to its UID.')),
          preconditions: Type.Array(Evidence, { description: 'Preconditions, and the facts they read.' }),
          guards: Type.Array(json('A guard and its verdict.'), { description: 'Every guard.' }),
          plan: Type.Array(json('A step.'), { description: 'What it would do, in order.' }),
          readings: Type.Array(Reading, { description: 'Every fact that was read.' }),
          obstacles: Type.Array(Obstacle, {
            description: 'Everything that stands in the way, the decisive one first.',
          }),
        },
        { description: 'The runbook held against the world as it is.' },
      ),
    ),
  },
  { description: 'What would be done about an alert, and why, or why not.' },
);

export const Drill = Type.Object(
  {
    name: text('Its name.'),
    title: text('What goes wrong, in few words.'),
    description: text('What it breaks, and which alert follows.'),
    state: maybe(words(['Running', 'Passed', 'Failed'] as const, 'How it went last; absent when it never ran.')),
  },
  { description: 'Something that can be broken on purpose.' },
);
export const DrillRun = Type.Object(
  {
    name: text('Name of the drill.'),
    state: words(['Running', 'Passed', 'Failed'] as const, 'Where it stands.'),
    startedAt: time('When it was started.'),
    startedBy: text('Who started it.'),
    events: Type.Array(
      Type.Object(
        {
          at: Type.Integer({ description: 'Since the start, ms.', minimum: 0 }),
          kind: text('fault, alert, incident, decision, fact, action, verification, page, note or problem.'),
          sentence: text('What happened.'),
        },
        { description: 'One thing that happened.' },
      ),
      { description: 'What happened, oldest first.' },
    ),
    result: maybe(
      Type.Object(
        {
          passed: Type.Boolean({ description: 'Whether the fault was found, repaired and verified.' }),
          refusedBy: maybe(text('The reason of the guard that held the product back.')),
          sentence: text('What it showed.'),
          took: Type.Number({ description: 'ms.' }),
          measured: labels('What was measured.'),
        },
        { description: 'How it ended.' },
      ),
    ),
  },
  { description: 'A game day on this server.' },
);

export const RecordEntry = Type.Object(
  {
    seq: count('Counts from 1 without a gap; the event id of the stream.'),
    at: time('When it happened.'),
    kind: text('<noun>.<what happened>.'),
    actor: text('Who: engine, alertmanager, catalog, token/<name>.'),
    organization,
    alertId: maybe(id('alert it is about')),
    incidentId: maybe(id('incident it is about')),
    runId: maybe(id('run it is about')),
    sentence: text('What happened.'),
    data: json('The facts of it.'),
    previousHash: text('Hash of the entry before.'),
    hash: text('SHA-256 over the previous hash and every field.'),
  },
  { description: 'An entry of the record.' },
);

export const ChainVerdict = Type.Object(
  {
    intact: Type.Boolean({ description: 'True when no entry was changed, left out or cut off.' }),
    entries: count('Entries that were found good.'),
    head: maybe(text('Hash of the newest entry: keep it elsewhere, and a later rewrite of the whole chain shows.')),
    brokenAt: maybe(count('The first entry that is not good.')),
    sentence: maybe(text('What is wrong with it.')),
  },
  { description: 'Whether the record still is what was written.' },
);

export const Whoami = Type.Object(
  {
    id: text('As the record names the caller.'),
    role: text('Its role.'),
    organization,
    permissions: Type.Array(Type.String(), { description: 'What the role may do.' }),
    version: text('Version of the server.'),
  },
  { description: 'Who the token stands for.' },
);

export const Readiness = Type.Object(
  {
    ready: Type.Boolean({ description: 'True when alerts can be taken.' }),
    checks: Type.Array(
      Type.Object(
        {
          name: text('What was looked at.'),
          healthy: Type.Boolean({ description: 'Whether it works.' }),
          sentence: text('What was found.'),
        },
        { description: 'One thing that was looked at.' },
      ),
      { description: 'What was looked at.' },
    ),
  },
  { description: 'Whether the server can take alerts.' },
);

export const Problem = Type.Object(
  {
    type: text('urn:catalyst-sre:error:<code>'),
    title: text('The code in words.'),
    status: Type.Integer({ description: 'HTTP status.' }),
    code: text('Stable code; see docs/reference/errors.md.'),
    detail: text('What is wrong, as a sentence.'),
    hint: maybe(text('What can be done about it.')),
    instance: text('Path of the request; * for what could not be read as one.'),
    requestId: text('Id to look for in the log.'),
    details: maybe(json('Facts about the failure, such as the reason of a guard.')),
  },
  { description: 'An error (RFC 9457).' },
);

/** The schemas that have a name of their own in OpenAPI, where clients take their types from. */
export const namedViews: Readonly<Record<string, TSchema>> = {
  Alert,
  DeadLetter,
  Incident,
  Run,
  JournalEntry,
  Runbook,
  RunbookDetail,
  Slo,
  SloDetail,
  Decision,
  Approval,
  Page,
  RunbookExplanation,
  Drill,
  DrillRun,
  RecordEntry,
  ChainVerdict,
  Whoami,
  Readiness,
  Problem,
};
/** One page of a list. */
export function listOf<T extends TSchema>(item: T, plural: string) {
  return Type.Object(
    {
      items: Type.Array(item, { description: `The ${plural}.` }),
      next: maybe(text('Pass it as `after` for the next page; absent on the last one.')),
    },
    { description: `One page of ${plural}.` },
  );
}

export const PageQuery = {
  limit: Type.Integer({
    description: 'How many at most.',
    minimum: 1,
    maximum: 200,
    default: 50,
  }),
  after: maybe(Type.String({ description: 'Value of `next` on the page before.', maxLength: 64 })),
};

export type ProblemView = Static<typeof Problem>;

/** The item with the named times, milliseconds since the epoch, as RFC 3339; absent ones stay absent. */
export function withTimes<T extends object, const K extends keyof T>(
  item: T,
  keys: readonly K[],
): Omit<T, K> & { [P in K]: undefined extends T[P] ? string | undefined : string } {
  const copy = { ...item } as Record<PropertyKey, unknown>;
  for (const key of keys) {
    const value = item[key];
    if (typeof value === 'number') copy[key] = new Date(value).toISOString();
  }
  return copy as Omit<T, K> & { [P in K]: undefined extends T[P] ? string | undefined : string };
}
