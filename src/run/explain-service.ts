/** Explains, on a server, what would be done about an alert it knows or about one that is only thought of. */
import { getAlert } from '../alert/alert-store.ts';
import { fingerprintOf } from '../alert/fingerprint.ts';
import type { CompiledRunbook } from '../catalog/compiled-runbook.ts';
import type { Considered } from '../catalog/match.ts';
import type { Clock } from '../clock.ts';
import type { Database } from '../database/tables.ts';
import { CatalystError } from '../errors.ts';
import type { Json } from '../integrations/contract.ts';
import type { DispatchPorts } from './dispatch.ts';
import { explainNothing, explainRun, type RunbookExplanation } from './explain.ts';
import { type PreparePorts, strictestMode } from './prepare.ts';
import { readContexts } from './run-context.ts';
import { historySince } from './run-engine.ts';
import type { RunInHand } from './run-in-hand.ts';
import { type Actor, acceptInputs, type RunbookCatalog } from './run-service.ts';
import { isKeyHeld, readHistory } from './run-store.ts';
import type { World } from './world.ts';

export interface ExplainPorts extends Pick<DispatchPorts, 'matchAlert' | 'policy'> {
  db: Database;
  clock: Clock;
  world: World;
  catalog: RunbookCatalog;
  /** Whose an alert with these labels is. */
  organizationOf(labels: Readonly<Record<string, string>>): string | undefined;
  confirmFiring: PreparePorts['confirmFiring'];
}

export interface ExplainRequest {
  /** An alert the server knows. */
  alertId?: string | undefined;
  /** An alert that is thought of; it is supposed to fire. */
  labels?: Record<string, string> | undefined;
  /** The runbook to hold against it, whether or not it is the one that would be chosen. */
  runbook?: string | undefined;
  inputs?: Record<string, Json> | undefined;
  /** Whose runbook, for callers that see the whole Sovereign. */
  organization?: string | undefined;
}

/** How long it may take to read everything, ms: the engine's own limit for one look. */
const readLimit = 20_000;

export function createExplainer(ports: ExplainPorts) {
  const { db, clock, world } = ports;

  /** @throws CatalystError NotFound, BadRequest, Forbidden */
  async function explain(actor: Actor, request: ExplainRequest): Promise<RunbookExplanation> {
    const subject = await subjectOf(actor, request);
    const { organization, alert } = subject;
    const { runbook, considered } = choose(subject, request);
    if (!runbook) {
      if (!alert)
        throw new CatalystError('BadRequest', 'There is nothing to explain.', {
          hint: 'Name an alert, labels or a runbook.',
        });
      const { id, name, labels } = alert;
      return explainNothing(
        clock.now(),
        { id: id || undefined, name, labels: { ...labels }, organization },
        considered,
      );
    }
    // Facts may be read with any label one can think of, so that only what would run for this actor is tried.
    if (
      actor.organization !== undefined &&
      request.alertId === undefined &&
      runbook.resource.provenance.organization !== actor.organization
    )
      throw new CatalystError(
        'Forbidden',
        `Runbook ${runbook.resource.metadata.name} belongs to the Sovereign; an Organization may explain it for its own alerts.`,
        {
          hint: 'Name one of your alerts rather than labels.',
        },
      );
    const { mode, defaultRunbookMode } = ports.policy(organization);
    const thought = {
      ...subject,
      runbook,
      mode: strictestMode([mode, runbook.mode ?? defaultRunbookMode]),
      inputs: acceptInputs(runbook, request.inputs ?? {}),
    };
    const context = { clock, signal: AbortSignal.timeout(readLimit) };
    return explainRun(thought, considered, context, {
      world: subject.supposed ? supposing(world) : world,
      confirmFiring: ports.confirmFiring,
      history: (target) =>
        readHistory(db, {
          runbook: runbook.resource.metadata.name,
          target,
          except: '',
          since: historySince(runbook, clock.now()),
        }),
      lock: async (key) => !(await isKeyHeld(db, key)),
    });
  }

  async function subjectOf(actor: Actor, { alertId, labels, organization }: ExplainRequest): Promise<Subject> {
    if (alertId !== undefined) {
      const known = await getAlert(db, alertId);
      if (!known || (actor.organization !== undefined && known.organization !== actor.organization))
        throw new CatalystError('NotFound', `There is no alert ${alertId}.`, {
          hint: 'catalyst-sre get alerts lists them.',
        });
      const [{ alert, incident } = {}] = await readContexts(db, [{ alertId, incidentId: known.incidentId }]);
      return { alert, incident, organization: known.organization, supposed: false };
    }
    if (labels === undefined)
      return {
        alert: undefined,
        incident: undefined,
        organization: actor.organization ?? organization,
        supposed: false,
      };
    const name = labels.alertname;
    if (!name)
      throw new CatalystError('BadRequest', 'The labels have no alertname.', { hint: 'Give --labels alertname=NAME.' });
    const alert = {
      id: '',
      name,
      labels,
      annotations: {},
      fingerprint: fingerprintOf(labels),
      generatorUrl: '',
      startsAt: clock.now(),
    };
    const owner = actor.organization ?? organization ?? ports.organizationOf(labels);
    return { alert, incident: undefined, organization: owner, supposed: true };
  }

  function choose(
    { alert, organization }: Subject,
    { runbook: name }: ExplainRequest,
  ): { runbook: CompiledRunbook | undefined; considered: Considered[] } {
    const match = alert && ports.matchAlert(alert.labels, organization);
    const considered = [...(match?.considered ?? [])] as Considered[];
    if (name === undefined) return { runbook: match?.chosen, considered };
    const runbook = ports.catalog.find(name, organization);
    if (!runbook)
      throw new CatalystError('NotFound', `There is no runbook ${name}.`, {
        hint: 'catalyst-sre get runbooks lists them.',
      });
    return { runbook, considered };
  }

  return { explain };
}

export type Explainer = ReturnType<typeof createExplainer>;

interface Subject {
  alert: RunInHand['alert'];
  incident: RunInHand['incident'];
  organization: string | undefined;
  /** The alert is only thought of: nothing is asked whether it fires. */
  supposed: boolean;
}

/** The world in which the alert one thinks of fires. */
export function supposing(world: World): World {
  return { ...world, confirmFiring: async () => ({ answer: 'firing', sentence: 'It is supposed to fire.' }) };
}
