/** `catalyst-sre failover …` and `catalyst-sre gate`: names, flags and help. */
import { type Command, Option } from 'commander';
import { colour, examples, output, type ProgramContext, remote, speed } from './program-parts.ts';

export function addFailover(program: Command, context: ProgramContext): void {
  const { io, registry, finish } = context;
  const { failover, failoverDns, verifyFailoverRecord, listDrills, runDrill } = registry;
  if (!failover) return;
  const noun = program
    .command('failover')
    .summary('the failover controller of a region, and what it is told')
    .description(
      'Without a subcommand: starts the failover controller of one region. It holds a lease at a witness, and moves traffic, mesh and data; it needs no database.',
    )
    .option('--config <file>', 'configuration file')
    .addHelpText(
      'after',
      examples(
        ['catalyst-sre failover --config failover.yaml', 'start the controller of this region'],
        ['catalyst-sre failover status', 'who is active, until when, and why'],
        ['catalyst-sre failover plan orders', 'what a switchover would do, and what stands in its way'],
        ['catalyst-sre failover switch orders --reason "patch day"', 'move a group, without loss'],
        ['catalyst-sre failover drill region-loss', 'watch one on this machine'],
      ),
    )
    .action(async (flags: { config?: string }, command: Command) => {
      if (flags.config === undefined) return command.help({ error: true });
      await failover({ config: flags.config }, io);
      finish(0);
    });
  addAsking(noun, context);
  addTelling(noun, context);
  if (failoverDns)
    noun
      .command('dns')
      .summary('generate what publishes the hosts')
      .description(
        "Prints k8gb's Gslb objects for a group's routes and, with addresses, PowerDNS LUA records for its hosts.",
      )
      .argument('<file>', 'file of FailoverGroup documents')
      .option('--address <region=ipv4>', "a gateway's address; may be given several times", collect, [])
      .addHelpText(
        'after',
        examples([
          'catalyst-sre failover dns orders.yaml --address hz-fsn-rtz-prod=192.0.2.10 --address hz-hel-rtz-prod=198.51.100.10',
          'neither can fail open',
        ]),
      )
      .action(async (file: string, flags: { address: string[] }) => {
        io.out((await failoverDns(file, flags.address)).trimEnd());
        finish(0);
      });
  if (verifyFailoverRecord)
    noun
      .command('audit')
      .summary('check the record')
      .description('Checks the record file of a controller.')
      .command('verify')
      .summary('recompute the chain of a record file')
      .description('Recomputes the hash of every entry of a record file; needs no running controller.')
      .argument('<file>', 'record.jsonl in the data directory')
      .addOption(output())
      .addHelpText(
        'after',
        examples(['catalyst-sre failover audit verify record.jsonl', 'exit code 4 when it is broken']),
      )
      .action(async (file: string, flags) =>
        finish(await (await import('./failover.ts')).verifyRecord(file, flags, verifyFailoverRecord, io)),
      );
  if (listDrills && runDrill)
    noun
      .command('drill')
      .summary('a game day between two pocket regions')
      .description('Starts two regions and a witness on this machine, breaks something, and shows who serves when.')
      .argument('<name>', 'region-loss, witness-loss, partition, controller-freeze or stale-region-reboots')
      .addOption(output())
      .addOption(colour())
      .addOption(speed())
      .addHelpText(
        'after',
        examples(['catalyst-sre failover drill region-loss --speed 1', "with the handbook's times"]),
      )
      .action(async (name: string, flags) =>
        finish(await (await import('./drill.ts')).drill(name, { ...flags, alone: true }, { listDrills, runDrill }, io)),
      );
}

function addAsking(noun: Command, { io, finish }: ProgramContext): void {
  remote(
    noun
      .command('status')
      .summary('who is active, and why')
      .description("Shows a controller's groups: who is active, until when, and why.")
      .argument('[group]', 'one group, in detail')
      .addOption(output()),
  )
    .addHelpText(
      'after',
      examples(['catalyst-sre failover status orders', 'gates, witnesses, lag and checks of one group']),
    )
    .action(async (group: string | undefined, flags) =>
      finish(await (await import('./failover.ts')).failoverStatus(group, flags, io)),
    );
  remote(
    noun
      .command('plan')
      .summary('what would be done')
      .description(
        'Says what a switchover or a takeover would do, step by step, and what stands in its way. Does nothing.',
      )
      .argument('<group>', 'the group')
      .option('--takeover', 'of a takeover by this region, in place of a switchover from it', false)
      .addOption(output()),
  )
    .addHelpText(
      'after',
      examples(['catalyst-sre failover plan orders --takeover', 'asked of the region that stands by']),
    )
    .action(async (group: string, flags) =>
      finish(await (await import('./failover.ts')).failoverPlan(group, flags, io)),
    );
}

function addTelling(noun: Command, { io, finish }: ProgramContext): void {
  const telling = (name: string, summary: string, description: string) =>
    remote(
      noun
        .command(name)
        .summary(summary)
        .description(description)
        .argument('<group>', 'the group')
        .requiredOption('--reason <text>', 'why, for the record')
        .addOption(output()),
    );
  telling('switch', 'move a group to the other region', 'Asks the active region to hand the group over, without loss.')
    .addHelpText(
      'after',
      examples(['catalyst-sre failover switch orders --reason "patch day"', 'then: failover status']),
    )
    .action(async (group: string, flags) =>
      finish(await (await import('./failover.ts')).tell('switchover', group, flags, io)),
    );
  telling(
    'approve',
    'approve a takeover or switchover',
    'Approves the open proposal of a group. In mode Manual two people have to.',
  )
    .option('--proposal <id>', 'the one you looked at; refused when it is over')
    .option('--accept-loss', 'also when a component is further behind than its RPO, or nobody knows', false)
    .option(
      '--force <how>',
      'also against checks, anti-flap or resolvers; say how you know that the other region is down',
    )
    .addHelpText(
      'after',
      examples([
        'catalyst-sre failover approve orders --reason "fsn is dark, ticket 4711"',
        'one of the people on call',
      ]),
    )
    .action(async (group: string, flags) =>
      finish(await (await import('./failover.ts')).tell('approve', group, flags, io)),
    );
  telling(
    'confirm',
    'confirm what was done by hand',
    'Tells a plan that waits that a person has done what it asks for a component (`failover status` says what).',
  )
    .requiredOption('--component <name>', 'the component')
    .addHelpText(
      'after',
      examples([
        'catalyst-sre failover confirm orders --component vectors --reason "force_promote ran"',
        'the plan goes on',
      ]),
    )
    .action(async (group: string, flags) =>
      finish(await (await import('./failover.ts')).tell('confirm', group, flags, io)),
    );
  telling('reject', 'reject a takeover or switchover', 'Rejects the open proposal of a group.')
    .option('--proposal <id>', 'the one you looked at; refused when it is over')
    .addHelpText(
      'after',
      examples(['catalyst-sre failover reject orders --reason "it is only the link"', 'nothing moves']),
    )
    .action(async (group: string, flags) =>
      finish(await (await import('./failover.ts')).tell('reject', group, flags, io)),
    );
}

export function addGate(program: Command, { io, registry, finish }: ProgramContext): void {
  const { gate } = registry;
  if (!gate) return;
  program
    .command('gate')
    .summary('the gate beside a workload')
    .description(
      'Answers /gate/<group> with 200 only under a valid lease, by a deadline of its own: it shuts in time when the controller is stopped, killed or cut off. With --protect it also stands in front of a port.',
    )
    .requiredOption('--group <name>', 'the failover group')
    .requiredOption('--controller <url>', "the region's failover controller")
    .option('--key-file <file>', 'believe only answers signed with the key in this file (gateKeys of the controller)')
    .addOption(
      new Option('--layer <layer>', 'whose gate is followed (default: stateful with --protect, else traffic)').choices([
        'traffic',
        'mesh',
        'stateful',
      ]),
    )
    .option('--listen <host:port>', 'where the readiness probe asks', '0.0.0.0:8090')
    .option('--protect <listen=target>', 'a port to stand in front of; may be given several times', collect, [])
    .addHelpText(
      'after',
      examples(
        [
          'catalyst-sre gate --group orders --controller http://failover:8480',
          'for readinessProbe.httpGet /gate/orders',
        ],
        [
          'catalyst-sre gate --group orders --controller http://failover:8480 --protect 0.0.0.0:6379=127.0.0.1:16379',
          'no lease, no connection',
        ],
      ),
    )
    .action(async (flags) => {
      await gate(flags, io);
      finish(0);
    });
}

function collect(value: string, all: string[]): string[] {
  return [...all, value];
}
