/** For tests of incidents: types and escalation at their plainest. */
import type { Clock } from '../clock.ts';
import type { Database } from '../database/tables.ts';
import type { EscalationPorts } from './escalation.ts';
import type { IncidentTypes } from './incident-types.ts';
import { defaultCalendar } from './response-clock.ts';
import { createStopwatch } from './response-stopwatch.ts';

/** Every alert is a type of its own, told apart by namespace. */
export const plainTypes: IncidentTypes = {
  calendarFor: () => defaultCalendar,
  forAlert: (labels) => ({
    type: labels.type ?? labels.alertname ?? '',
    known: true,
    title: 'Something',
    severity: labels.severity === 'critical' ? 'P1' : 'P3',
    scope: ['namespace'],
    runbooks: [],
    guidance: undefined,
  }),
};

/** Nobody is called by a policy, and no page is written. */
export const withoutPolicy = (db: Database, clock: Clock): EscalationPorts => ({
  db,
  clock,
  stopwatch: createStopwatch(clock),
  policyOf: () => undefined,
  receiversOf: () => ({ receivers: [] }),
  defaultReceiver: 'default',
  page: async () => [],
  reached: async () => false,
});
