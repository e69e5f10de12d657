/** What the API says about incidents beside the incidents themselves. */
import Type, { type TSchema } from 'typebox';
import { statisticsBy } from '../run/statistics-queries.ts';
import {
  count,
  id,
  maybe,
  modes,
  organization,
  runOutcomes,
  runStates,
  severities,
  text,
  time,
  words,
} from './views.ts';

const number = (description: string) => Type.Number({ description });

/** Closed word lists stay in one place with their meaning. */
const healthStates = ['Good', 'Untried', 'Failing', 'OldVersion'] as const;
const matchKinds = ['Alert', 'Incident', 'Listed'] as const;

/** A share of counted things, and how sure it is. */
const shareView = (description: string) =>
  Type.Object(
    {
      count: count('How many.'),
      of: count('Of how many.'),
      share: maybe(number('count / of, 0 to 1; absent where nothing was counted.')),
      low: number('With 95 % confidence it is at least so much (Wilson).'),
      high: number('With 95 % confidence it is at most so much.'),
    },
    { description },
  );

const IncidentRunbook = Type.Object(
  {
    rank: count('Its place, from 1.'),
    name: text('Name of the runbook.'),
    organization,
    mode: maybe(words(modes, 'How far it may go by itself; the default of the Sovereign where absent.')),
    match: words(
      matchKinds,
      'Alert: it names one of the alerts; Incident: it is started by this type; Listed: the incident type names it.',
    ),
    chosen: Type.Boolean({ description: 'Whether the engine takes this one by itself, as far as its mode lets it.' }),
    sentence: text('Why it stands where it stands.'),
    health: Type.Object(
      {
        state: words(
          healthStates,
          'Good; Untried; Failing, when its last runs that acted all failed; OldVersion, when its document is wrong and the last good one serves.',
        ),
        sentence: text('What that is seen by.'),
      },
      { description: 'Whether it can be relied on.' },
    ),
    success: shareView('Of the incidents of this type in which it acted, those it fixed, verified.'),
    suppressed: maybe(
      Type.Object(
        { reason: text('One word of a closed list.'), sentence: text('What holds it back.') },
        { description: 'The guard that would hold it back now, as far as earlier runs tell.' },
      ),
    ),
    source: text('Catalog source it came from.'),
    revision: maybe(text('Commit, or resourceVersion.')),
    file: text('Path inside the source.'),
    line: count('Line of the document.'),
    digest: text('SHA-256 of the document.'),
    lastRuns: Type.Array(
      Type.Object(
        {
          id: id('run'),
          state: words(runStates, 'Where it stands.'),
          outcome: maybe(words(runOutcomes, 'How it ended.')),
          reason: maybe(text('Why it ended so: one word of a closed list.')),
          sentence: text('What happened last, or in the end.'),
          createdAt: time('When it was created.'),
          actedAt: maybe(time('When it first changed something.')),
          endedAt: maybe(time('When it ended.')),
        },
        { description: 'One of its last runs, in any incident.' },
      ),
      { description: 'Its last runs, newest first.' },
    ),
    explain: Type.Object(
      { runbook: text('The runbook.'), alertId: maybe(id('alert')) },
      { description: 'Send it to POST /api/v1/explanations to see what it would do now.' },
    ),
  },
  { description: 'A runbook for an incident.' },
);

export const IncidentType = Type.Object(
  {
    name: text('Name of the type.'),
    organization: maybe(text('Organization whose type it is; absent for those of the Sovereign.')),
    title: text('What has happened, in the words people use.'),
    severity: words(severities, 'P1 is worst.'),
    recognisedBy: Type.Array(text('alert OpenBaoSealed'), { description: 'What opens an incident of it, in words.' }),
    runbooks: Type.Array(text('Name of a runbook.'), { description: 'Shown beside it, the most useful first.' }),
    guidance: maybe(text('What to look at, for the person who opens the incident.')),
    source: text('Catalog source it came from.'),
    revision: maybe(text('Commit, or resourceVersion.')),
    file: text('Path inside the source.'),
    line: count('Line of the document.'),
  },
  { description: 'What an alert means to people: title, severity, what to look at.' },
);

export const IncidentRunbooks = Type.Object(
  {
    type: text('Type of the incident.'),
    since: time('Since when incidents and runs count here.'),
    selfHealing: shareView(
      'Of the incidents of this type in which no run acted, those that ended by themselves: what a runbook has to beat.',
    ),
    items: Type.Array(IncidentRunbook, { description: 'The runbooks, the one to look at first first.' }),
  },
  { description: 'The runbooks for an incident, and how well they did in incidents of its type.' },
);

const times = (description: string) =>
  Type.Object(
    {
      count: count('How many incidents.'),
      mean: maybe(number('Mean, seconds.')),
      median: maybe(number('Median, seconds.')),
    },
    { description },
  );
const figures = {
  incidents: count('Incidents that count.'),
  acknowledge: times('From the opening of an incident to its acknowledgement, of those somebody acknowledged (MTTA).'),
  resolve: times('From the opening of an incident to its end, of those that have ended (MTTR).'),
  inTime: shareView('Acknowledged or over by the time of §13.1, of those that were or whose time has run out.'),
  fixedByAutomation: shareView('Of those that have ended, the ones a run fixed and verified.'),
  selfHealing: shareView('Of those that have ended without a run having acted, the ones that ended by themselves.'),
};
const IncidentFigures = Type.Object(
  {
    key: maybe(text('The type, runbook or Organization; absent for the Sovereign itself.')),
    ...figures,
  },
  { description: 'How incidents went.' },
);
export const IncidentStatistics = Type.Object(
  {
    by: words(statisticsBy, 'What the rows are.'),
    from: time('Incidents opened from this moment on'),
    to: time('and before this one count.'),
    total: Type.Object(figures, { description: 'Over all incidents that count, each once.' }),
    items: Type.Array(IncidentFigures, { description: 'The rows, those with most incidents first.' }),
  },
  { description: 'How incidents went, without those that were merged into another or were a false alarm.' },
);

/** The schemas that have a name of their own in OpenAPI. */
export const incidentViews: Readonly<Record<string, TSchema>> = {
  IncidentType,
  IncidentRunbook,
  IncidentRunbooks,
  IncidentFigures,
  IncidentStatistics,
};
