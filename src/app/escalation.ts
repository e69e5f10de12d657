/** Escalation over what the catalog declares: policies, and who is on call. */
import type { Catalog } from '../catalog/catalog.ts';
import { parseDuration } from '../catalog/duration.ts';
import { type EscalationPolicy, escalationPolicyKind } from '../catalog/kinds/escalation-policy.ts';
import type { Clock } from '../clock.ts';
import type { Database } from '../database/tables.ts';
import type { EscalationPorts } from '../incident/escalation.ts';
import { policyFor } from '../incident/escalation-decision.ts';
import { createStopwatch } from '../incident/response-stopwatch.ts';
import { createPage } from '../notify/notify.ts';
import { onCallAt } from '../notify/on-call.ts';
import { deliveredBegunWith } from '../notify/page-store.ts';
import { scheduleOf } from './on-call.ts';
import { defaultReceiver } from './paging.ts';

export function escalationPorts(ports: {
  db: Database;
  clock: Clock;
  catalog: Pick<Catalog, 'resources'>;
}): EscalationPorts {
  const { db, clock, catalog } = ports;
  return {
    db,
    clock,
    stopwatch: createStopwatch(clock),
    defaultReceiver,
    policyOf: (incident) => {
      const policy = policyFor(catalog.resources<EscalationPolicy>(escalationPolicyKind), incident);
      return (
        policy && {
          name: policy.metadata.name,
          steps: policy.spec.steps.map(({ after, notify }) => ({ after: parseDuration(after) ?? 0, notify })),
        }
      );
    },
    receiversOf: (target, organization, at) => {
      if ('receiver' in target) return { receivers: [target.receiver] };
      const schedule = scheduleOf(catalog, target.schedule, organization);
      const onCall = schedule && onCallAt(schedule.spec, at);
      return { receivers: onCall ? [onCall.person] : [] };
    },
    page: async (tx, page, now) => (await createPage(tx, page, now)).entries,
    reached: deliveredBegunWith,
  };
}
