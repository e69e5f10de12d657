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
  /** The receivers by which a person is reached. */
  reach: (person: string) => readonly string[];
}): EscalationPorts {
  const { db, clock, catalog, reach } = ports;
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
      if (!schedule) return { receivers: [], gap: `There is no on-call schedule ${target.schedule}.` };
      const onCall = onCallAt(schedule.spec, at);
      if (!onCall) return { receivers: [], gap: `Nobody is on call in ${target.schedule}.` };
      const receivers = reach(onCall.person);
      if (receivers.length > 0) return { receivers };
      return { receivers, gap: `${onCall.person} is on call in ${target.schedule} and has no receiver.` };
    },
    page: async (tx, page, now) => (await createPage(tx, page, now)).entries,
    reached: deliveredBegunWith,
  };
}
