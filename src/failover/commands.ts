/** What a person may tell a controller, from the body of a request to an event of the protocol. Pure. */
import { CatalystError } from '../errors.ts';
import type { News } from './group-runner.ts';
import type { GroupStatus } from './status.ts';

/** A reason is read by an auditor a year later; one letter is none. */
const shortestReason = 3;
const longestReason = 1_000;

type Body = Readonly<Record<string, unknown>>;

/** Throws BadRequest for what cannot be understood, InvalidState for what cannot be done now. */
export function commandEvent(verb: string, actor: string, body: Body, status: GroupStatus): News {
  switch (verb) {
    case 'switchover':
      known(body, ['reason']);
      if (!status.active)
        throw new CatalystError('InvalidState', `${status.group} is not active in ${status.region}.`, {
          hint: `A switchover is asked of the active region${status.holder ? `, which is ${status.holder}` : ''}.`,
        });
      return { type: 'switchover', actor, reason: reasonOf(body) };
    case 'approve':
      known(body, ['proposal', 'reason', 'acceptLoss', 'force']);
      return {
        type: 'approve',
        proposal: proposalOf(body, status),
        actor,
        reason: reasonOf(body),
        acceptLoss: body.acceptLoss === true,
        force: body.force === undefined ? undefined : text(body, 'force'),
      };
    case 'reject':
      known(body, ['proposal', 'reason']);
      return { type: 'reject', proposal: proposalOf(body, status), actor, reason: reasonOf(body) };
    default:
      throw new CatalystError(
        'NotFound',
        `There is no command ${verb}: switchover, approve, reject and confirm can be given.`,
      );
  }
}

function known(body: Body, fields: readonly string[]): void {
  const stranger = Object.keys(body).find((field) => !fields.includes(field));
  if (stranger !== undefined)
    throw new CatalystError('BadRequest', `"${stranger}" is not known here. Known are: ${fields.join(', ')}.`);
}

function text(body: Body, field: string): string {
  const value = body[field];
  if (typeof value !== 'string' || value.trim().length < shortestReason || value.length > longestReason)
    throw new CatalystError(
      'BadRequest',
      `"${field}" has to say something, in ${shortestReason} to ${longestReason} characters.`,
    );
  return value.trim();
}

function reasonOf(body: Body): string {
  return text(body, 'reason');
}

/** The open proposal; naming another one means that the person looked at something that is over. */
function proposalOf(body: Body, status: GroupStatus): string {
  const { proposal } = status;
  if (proposal === null)
    throw new CatalystError(
      'InvalidState',
      `${status.group} has no open proposal in ${status.region}: ${status.sentence}`,
    );
  if (body.proposal !== undefined && body.proposal !== proposal.id)
    throw new CatalystError('InvalidState', `The proposal ${String(body.proposal)} is over; open is ${proposal.id}.`);
  return proposal.id;
}

/** That a person has done what a component waits for. Throws BadRequest. */
export function confirmation(body: Body): { component: string; reason: string } {
  known(body, ['component', 'reason']);
  const { component } = body;
  if (typeof component !== 'string') throw new CatalystError('BadRequest', '"component" has to be a name.');
  return { component, reason: reasonOf(body) };
}
