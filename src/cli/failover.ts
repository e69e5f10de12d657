/** `failover status|plan|switch|approve|reject|audit`: talks to a controller and prints what it says. */
import { resolve } from 'node:path';
import { CatalystError } from '../errors.ts';
import type { FailoverPlan } from '../failover/plan.ts';
import type { GroupStatus } from '../failover/status.ts';
import { Client, type Item } from './client.ts';
import { type ConnectionFlags, resolveConnection } from './connection.ts';
import { type CliIo, type ExitCode, exitCodes } from './io.ts';
import { formatOf, printData } from './printers/print.ts';
import { safe } from './printers/table.ts';
import type { Registry } from './registry.ts';

type Flags = ConnectionFlags & { output: string };

const root = '/api/v1/failover';

interface Status {
  region: string;
  groups: GroupStatus[];
}

export async function failoverStatus(group: string | undefined, flags: Flags, io: CliIo): Promise<ExitCode> {
  const format = formatOf(flags.output);
  const status = await (await client(flags, io)).get<Status>(`${root}/status`);
  const chosen = group === undefined ? status.groups : status.groups.filter((one) => one.group === group);
  if (group !== undefined && chosen.length === 0)
    throw new CatalystError('NotFound', `There is no failover group ${group} at ${status.region}.`, {
      hint: `There are: ${status.groups.map((one) => one.group).join(', ')}.`,
    });
  const [only] = chosen;
  if (format === 'json' || format === 'yaml') await printData(io, group === undefined ? status : only, format);
  else if (format === 'name') for (const one of chosen) io.out(`failovergroup/${one.group}`);
  else if (group !== undefined && only) printGroup(only, io);
  else printGroups(chosen, io);
  return exitCodes.done;
}

function printGroups(groups: readonly GroupStatus[], io: CliIo): void {
  const rows = groups.map((one) => [
    one.group,
    one.active ? 'active' : 'standby',
    one.holder ?? '-',
    String(one.epoch),
    one.mode,
    one.reason,
    one.active ? `${one.secondsToFence}s` : '-',
  ]);
  table(['GROUP', 'STATE', 'HOLDER', 'EPOCH', 'MODE', 'REASON', 'FENCES IN'], rows, io);
}

function table(head: readonly string[], rows: readonly (readonly string[])[], io: CliIo): void {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)));
  for (const row of [head, ...rows])
    io.out(
      row
        .map((cell, i) => safe(cell).padEnd(widths[i] ?? 0))
        .join('   ')
        .trimEnd(),
    );
}

function printGroup(one: GroupStatus, io: CliIo): void {
  const line = (title: string, text: string) => io.out(`${`${title}:`.padEnd(12)} ${safe(text)}`);
  line('Group', `${one.group} (${one.mode})`);
  line('Region', `${one.region}, ${one.active ? 'active' : 'standing by'}; the other is ${one.peer}`);
  line('Lease', `epoch ${one.epoch}, held by ${one.holder ?? 'nobody'}`);
  line('Why', `${one.reason}: ${one.sentence}`);
  for (const [layer, { sentence }] of Object.entries(one.gates)) line(`Gate`, `${layer} is ${sentence}`);
  for (const { name, reachable, answeredAgoMs } of one.witnesses)
    line('Witness', `${name} ${reachable ? `answered ${answeredAgoMs} ms ago` : 'cannot be reached'}`);
  for (const { sentence, verdict } of one.components) line('Component', `${verdict}: ${sentence}`);
  line('Checks', `${one.checks - one.failedChecks.length} of ${one.checks} pass`);
  for (const { check, sentence, verdict, advice } of one.failedChecks)
    line(advice ? 'To look at' : 'In the way', `${check} (${verdict}): ${sentence}`);
  for (const problem of one.problems) line('Not done', problem);
  if (one.proposal) {
    const { id, kind, needed, approvals, expiresInSeconds } = one.proposal;
    line('Proposal', `${id}: a ${kind}; ${approvals.length} of ${needed} approved, ${expiresInSeconds} s left`);
  }
}

export async function failoverPlan(group: string, flags: Flags & { takeover: boolean }, io: CliIo): Promise<ExitCode> {
  const format = formatOf(flags.output);
  const kind = flags.takeover ? 'takeover' : 'switchover';
  const plan = await (await client(flags, io)).get<FailoverPlan>(`${root}/plan`, { group, kind });
  if (format === 'json' || format === 'yaml') {
    await printData(io, plan, format);
    return exitCodes.done;
  }
  io.out(`A ${plan.kind} of ${safe(plan.group)} from ${safe(plan.from)} to ${safe(plan.to)}:`);
  for (const [i, { region, what }] of plan.steps.entries()) io.out(`  ${i + 1}. ${safe(region)}: ${safe(what)}`);
  io.out(plan.lossless ? 'No write is lost.' : 'Writes may be lost: see the components.');
  if (plan.obstacles.length === 0) io.out('Nothing stands in its way.');
  else for (const obstacle of plan.obstacles) io.out(`In its way: ${safe(obstacle)}`);
  for (const advice of plan.advice) io.out(`To look at: ${safe(advice)}`);
  return exitCodes.done;
}

interface TellFlags extends Flags {
  reason: string;
  proposal?: string;
  acceptLoss?: boolean;
  force?: string;
  component?: string;
}

export async function tell(verb: string, group: string, flags: TellFlags, io: CliIo): Promise<ExitCode> {
  const format = formatOf(flags.output);
  const body: Item = {
    reason: flags.reason,
    ...(flags.proposal === undefined ? {} : { proposal: flags.proposal }),
    ...(flags.acceptLoss ? { acceptLoss: true } : {}),
    ...(flags.force === undefined ? {} : { force: flags.force }),
    ...(flags.component === undefined ? {} : { component: flags.component }),
  };
  const status = (await (
    await client(flags, io)
  ).post(`${root}/groups/${encodeURIComponent(group)}/${verb}`, body)) as unknown as GroupStatus;
  if (format === 'json' || format === 'yaml') await printData(io, status, format);
  else io.out(`${safe(group)}: ${status.reason}: ${safe(status.sentence)}`);
  return exitCodes.done;
}

export async function verifyRecord(
  file: string,
  flags: { output: string },
  verify: NonNullable<Registry['verifyFailoverRecord']>,
  io: CliIo,
): Promise<ExitCode> {
  const format = formatOf(flags.output);
  const verdict = await verify(resolve(io.directory, file));
  if (format === 'json' || format === 'yaml') await printData(io, verdict, format);
  else if (verdict.intact) io.out(`The record is intact: ${verdict.entries} entries, head ${verdict.head}.`);
  else io.out(`The record is broken at entry ${verdict.brokenAt}: ${verdict.sentence}`);
  return verdict.intact ? exitCodes.done : exitCodes.verificationFailed;
}

async function client(flags: ConnectionFlags, io: CliIo): Promise<Client> {
  return new Client(await resolveConnection(flags, io), io);
}
