/** What the API may do, over the services of the rooms. */
import type { Actor as ApiActor } from '../api/access.ts';
import type { ApiPorts, ApprovalVote } from '../api/ports.ts';
import type { IncidentService } from '../incident/incident-service.ts';
import type { Explainer } from '../run/explain-service.ts';
import type { Actor, RunService } from '../run/run-service.ts';

export function commandPorts(
  runs: RunService,
  incidents: IncidentService,
  explainer: Explainer,
): Pick<ApiPorts, 'runCommands' | 'incidentCommands' | 'explainer'> {
  const decide = async (runId: string, { actor, comment, planDigest }: ApprovalVote, approve: boolean) => {
    await runs.decide(actorOf(actor), runId, {
      approve,
      comment: comment ?? '',
      ...(planDigest === undefined ? {} : { planDigest }),
    });
  };
  return {
    explainer: { explain: ({ actor, ...request }) => explainer.explain(actorOf(actor), request) },
    runCommands: {
      start: ({ actor, organization, traceparent, alertId, incidentId, ...request }) =>
        runs.start(actorOf(actor), {
          ...request,
          ...(organization === undefined ? {} : { organization }),
          ...(traceparent === undefined ? {} : { traceparent }),
          ...(alertId === undefined ? {} : { alertId }),
          ...(incidentId === undefined ? {} : { incidentId }),
        }),
      approve: (runId, vote) => decide(runId, vote, true),
      reject: (runId, vote) => decide(runId, vote, false),
      cancel: (runId, actor, reason) => runs.cancel(actorOf(actor), runId, reason ?? ''),
    },
    incidentCommands: {
      acknowledge: async (incidentId, actor, { comment, version }) => {
        await incidents.acknowledge({ incidentId, actor: actor.id, expectedVersion: version });
        if (comment) await incidents.note({ incidentId, actor: actor.id, text: comment });
      },
      resolve: async (incidentId, actor, reason, falseAlarm) => {
        await incidents.resolve({ incidentId, actor: actor.id, reason, falseAlarm });
      },
      escalate: async (incidentId, actor, { comment, version }) => {
        await incidents.escalate({ incidentId, actor: actor.id, comment, expectedVersion: version });
      },
      note: async (incidentId, actor, text) => {
        await incidents.note({ incidentId, actor: actor.id, text });
      },
      merge: async (incidentId, actor, { into, version, intoVersion }) => {
        const seen = { expectedVersion: version, expectedIntoVersion: intoVersion };
        return (await incidents.merge({ incidentId, into, actor: actor.id, ...seen })).id;
      },
      split: async (incidentId, actor, { alerts, title, version }) => {
        const what = { alertIds: alerts, title, expectedVersion: version };
        return (await incidents.split({ incidentId, actor: actor.id, ...what })).id;
      },
    },
  };
}

function actorOf({ id, role, organization }: ApiActor): Actor {
  return { name: id, role, organization };
}
