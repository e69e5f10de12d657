/**
 * The command tree: names, flags and help. What a command does is loaded when it runs, so that help and completion are
 * there at once.
 */
import { Argument, Command, Option } from 'commander';
import type { GetFlags } from './get.ts';
import type { CliIo, ExitCode } from './io.ts';
import type { Registry, ServeOptions } from './registry.ts';

export interface ProgramContext {
  io: CliIo;
  registry: Registry;
  /** Told the exit code when a command has ended. */
  finish(code: ExitCode): void;
}

const output = () => new Option('-o, --output <format>', 'table, wide, json, yaml or name').default('table');
const colour = () =>
  new Option('--color <when>', 'colour: auto, always or never').choices(['auto', 'always', 'never']).default('auto');

/** Flags of every command that talks to a server. */
function remote(command: Command): Command {
  return command
    .option('--server <url>', 'address of the server (CATALYST_SRE_SERVER)')
    .option('--token-file <path>', 'file that holds the token (CATALYST_SRE_TOKEN_FILE, CATALYST_SRE_TOKEN)')
    .option('--data-dir <path>', 'data directory of a sandbox started here', '.catalyst-sre');
}

function examples(...lines: [string, string][]): string {
  const width = Math.max(...lines.map(([line]) => line.length));
  return `\nExamples:\n${lines.map(([line, what]) => `  ${line.padEnd(width)}   # ${what}`).join('\n')}\n`;
}

export function createProgram(context: ProgramContext): Command {
  const program = new Command('catalyst-sre')
    .description('The SRE handbook of a Catalyst Sovereign, as running software.')
    .version(context.registry.version, '-V, --version', 'print the version')
    .helpCommand('help [command]', 'explain a command')
    .showSuggestionAfterError(true)
    .addHelpText(
      'after',
      `${examples(
        ['catalyst-sre get incidents', 'what is wrong now'],
        ['catalyst-sre describe incident ID', 'what happened, and what was done about it'],
        ['catalyst-sre incident ack ID', 'take it'],
        ['catalyst-sre get decisions --alert ID', 'why something, or nothing, was done'],
        ['catalyst-sre runbook run NAME --dry-run', 'what a runbook would do'],
      )}
Data goes to standard output, messages to standard error.
Exit codes: 0 done, 1 failed, 2 wrong usage or invalid input, 4 verification failed, 5 refused by a guard.`,
    );
  addServer(program, context);
  addRead(program, context);
  addIncident(program, context);
  addRun(program, context);
  addRunbook(program, context);
  addDrill(program, context);
  addAudit(program, context);
  addRender(program, context);
  addAbout(program, context);
  return program;
}

function addServer(program: Command, { io, registry, finish }: ProgramContext): void {
  const { serve, checkConfig } = registry;
  if (serve)
    program
      .command('serve')
      .summary('start the control plane')
      .description('Starts the control plane: API, console and engine.')
      .option('--config <file>', 'configuration file')
      .option('--sandbox', 'a pocket Sovereign in this process, to try everything out', false)
      .option('--data-dir <path>', 'data directory; overrides the configuration')
      .option('--listen <host:port>', 'address to listen on; overrides the configuration')
      .option('--drills', 'let drills be started over the API', false)
      .addHelpText(
        'after',
        examples(
          ['catalyst-sre serve --sandbox', 'try it out: nothing else is needed'],
          [
            'catalyst-sre serve --config /etc/catalyst-sre/config.yaml',
            'on a real Sovereign; the mode is Suggest by default',
          ],
        ),
      )
      .action(async (flags: ServeOptions) => {
        await serve(flags, io);
        finish(0);
      });
  if (checkConfig)
    program
      .command('config')
      .summary('the configuration file')
      .description('The configuration file of the server.')
      .command('check')
      .summary('say what is wrong with a configuration file')
      .description('Checks a configuration file as serve does when it starts, and says every problem with its line.')
      .argument('<file>', 'configuration file')
      .addOption(output())
      .addOption(colour())
      .addHelpText('after', examples(['catalyst-sre config check config.yaml', 'before it is taken into use']))
      .action(async (file: string, flags) =>
        finish(await (await import('./offline.ts')).checkConfig(file, flags, checkConfig, io)),
      );
}

function addRead(program: Command, { io, finish }: ProgramContext): void {
  const noun = () => new Argument('<what>', 'alerts, incidents, runs, runbooks, decisions, approvals, pages or record');
  remote(
    program
      .command('get')
      .summary('list things, or show some by name')
      .description('Lists what the server knows, newest first, or shows some by name.')
      .addArgument(noun())
      .argument('[names...]', 'only these')
      .addOption(output())
      .addOption(colour())
      .option('-w, --watch', 'go on and show what changes', false)
      .option('--limit <n>', 'how many at most', '50')
      .option('--state <state>', 'only those in this state')
      .option('--severity <severity>', 'only incidents of this severity')
      .option('--outcome <outcome>', 'only runs that ended so')
      .option('--runbook <name>', 'only runs of this runbook')
      .option('--name <name>', 'only alerts of this name')
      .option('--incident <id>', 'only what belongs to this incident')
      .option('--alert <id>', 'only what belongs to this alert')
      .option('--run <id>', 'only what belongs to this run'),
  )
    .addHelpText(
      'after',
      examples(
        ['catalyst-sre get incidents --state Open', 'what nobody has taken yet'],
        ['catalyst-sre get runs -w', 'runs, and every change of one'],
        ['catalyst-sre get decisions --alert ID -o wide', 'why nothing was done about an alert'],
        ['catalyst-sre get record --incident ID -o json', 'the record of an incident, for a report'],
      ),
    )
    .action(async (what: string, names: string[], flags: GetFlags) =>
      finish(await (await import('./get.ts')).get(what, names, flags, io)),
    );
  remote(
    program
      .command('describe')
      .summary('one thing with everything that belongs to it')
      .description(
        'Shows one thing with everything that belongs to it: an incident with its alerts, runs and timeline.',
      )
      .addArgument(noun())
      .argument('<names...>', 'which')
      .addOption(colour()),
  )
    .addHelpText(
      'after',
      examples(
        ['catalyst-sre describe incident ID', 'alerts, runs, pages and timeline'],
        ['catalyst-sre describe run ID', 'decision, approvals and journal'],
      ),
    )
    .action(async (what: string, names: string[], flags) =>
      finish(await (await import('./describe.ts')).describe(what, names, flags, io)),
    );
}

function addIncident(program: Command, { io, finish }: ProgramContext): void {
  const incident = program
    .command('incident')
    .summary('take, resolve or annotate an incident')
    .description('Acts on incidents.');
  const verb = (name: string, summary: string) =>
    remote(
      incident
        .command(name)
        .summary(summary)
        .description(`${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`),
    )
      .argument('<id>', 'id of the incident')
      .addOption(output());
  verb('ack', 'take an incident, which stops its escalation')
    .option('-m, --comment <text>', 'what you are about to do')
    .addHelpText(
      'after',
      examples(['catalyst-sre incident ack ID -m "looking at it"', 'the timeline shows who and why']),
    )
    .action(async (id: string, flags) =>
      finish(
        await (await import('./act.ts')).act('incident', 'acknowledge', [id], { comment: flags.comment }, flags, io),
      ),
    );
  verb('resolve', 'resolve an incident')
    .requiredOption('-m, --resolution <text>', 'what the cause was and what ended it')
    .addHelpText(
      'after',
      examples(['catalyst-sre incident resolve ID -m "certificate renewed"', 'the text goes on record']),
    )
    .action(async (id: string, flags) =>
      finish(
        await (await import('./act.ts')).act('incident', 'resolve', [id], { resolution: flags.resolution }, flags, io),
      ),
    );
  verb('note', 'add a note to the timeline of an incident')
    .requiredOption('-m, --text <text>', 'the note')
    .addHelpText('after', examples(['catalyst-sre incident note ID -m "network team informed"', 'for who takes over']))
    .action(async (id: string, flags) =>
      finish(await (await import('./act.ts')).act('incident', 'notes', [id], { text: flags.text }, flags, io)),
    );
}

function addRun(program: Command, { io, finish }: ProgramContext): void {
  const run = program.command('run').summary('approve, reject or cancel a run').description('Acts on runs.');
  const verb = (name: string, summary: string) =>
    remote(
      run
        .command(name)
        .summary(summary)
        .description(`${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`),
    )
      .argument('<id>', 'id of the run')
      .addOption(output())
      .option('-m, --comment <text>', 'why');
  for (const [name, summary] of [
    ['approve', 'approve what a run waits for'],
    ['reject', 'reject what a run waits for; the run ends'],
  ] as const)
    verb(name, summary)
      .option('--plan-digest <digest>', 'only if the plan still is the one with this digest')
      .addHelpText(
        'after',
        examples(
          ['catalyst-sre describe run ID', 'see the plan and its digest first'],
          [`catalyst-sre run ${name} ID --plan-digest DIGEST`, 'exactly the plan you saw'],
        ),
      )
      .action(async (id: string, flags) =>
        finish(
          await (await import('./act.ts')).act(
            'run',
            name,
            [id],
            { comment: flags.comment, planDigest: flags.planDigest },
            flags,
            io,
          ),
        ),
      );
  verb('cancel', 'ask a run to stop before its next step')
    .addHelpText('after', examples(['catalyst-sre run cancel ID -m "doing it by hand"', 'what was done is not undone']))
    .action(async (id: string, flags) =>
      finish(await (await import('./act.ts')).act('run', 'cancel', [id], { reason: flags.comment }, flags, io)),
    );
}

function addRunbook(program: Command, { io, registry, finish }: ProgramContext): void {
  const runbook = program
    .command('runbook')
    .summary('run, lint, explain or test runbooks')
    .description('Works with runbooks.');
  remote(
    runbook
      .command('run')
      .summary('start a run on the server')
      .description('Starts a run of a runbook on the server.')
      .argument('<name>', 'name of the runbook')
      .addOption(output())
      .option('--dry-run', 'say what would be done, and do nothing', false)
      .option('--set <name=value>', 'an input; may be given several times', (value: string, all: string[] = []) => [
        ...all,
        value,
      ])
      .option('--organization <name>', 'whose runbook, with a Sovereign-wide token')
      .option('-f, --follow', 'tell what happens and end as the run ends', false),
  )
    .addHelpText(
      'after',
      examples(
        ['catalyst-sre runbook run scale-up --set replicas=3 --dry-run', 'what it would do'],
        ['catalyst-sre runbook run scale-up --set replicas=3 -f', 'do it, and watch'],
      ),
    )
    .action(async (name: string, flags) => finish(await (await import('./act.ts')).startRun(name, flags, io)));

  const { lintRunbooks, explainRunbooks, testRunbooks } = registry;
  const offline = (name: string, summary: string, description: string) =>
    runbook
      .command(name)
      .summary(summary)
      .description(description)
      .argument('<paths...>', 'files and folders')
      .addOption(output())
      .addOption(colour());
  if (lintRunbooks)
    offline(
      'lint',
      'say what is wrong with documents',
      "Reads documents with the server's own parser and says what is wrong, with file, line and column.",
    )
      .addHelpText(
        'after',
        examples(['catalyst-sre runbook lint runbooks/', 'in CI: exit code 2 when there is an error']),
      )
      .action(async (paths: string[], flags) =>
        finish(await (await import('./offline.ts')).lint(paths, flags, lintRunbooks, io)),
      );
  if (explainRunbooks)
    offline(
      'explain',
      'say in words what runbooks do',
      'Says in words what runbooks do: when they start, what they read, change and verify, and how they are undone.',
    )
      .addHelpText(
        'after',
        examples(['catalyst-sre runbook explain openbao-sealed.yaml', 'for the person who reviews it']),
      )
      .action(async (paths: string[], flags) =>
        finish(await (await import('./offline.ts')).explain(paths, flags, explainRunbooks, io)),
      );
  if (testRunbooks)
    offline(
      'test',
      'run the test cases of runbooks',
      'Runs the test cases of runbooks with a virtual clock and made-up facts; nothing real is touched.',
    )
      .addHelpText('after', examples(['catalyst-sre runbook test runbooks/', 'in CI: exit code 1 when a case fails']))
      .action(async (paths: string[], flags) =>
        finish(await (await import('./offline.ts')).testRunbooks(paths, flags, testRunbooks, io)),
      );
}

function addDrill(program: Command, { io, registry, finish }: ProgramContext): void {
  const { listDrills, runDrill } = registry;
  if (!listDrills || !runDrill) return;
  program
    .command('drill')
    .summary('a game day on the sandbox')
    .description('Breaks something in the sandbox on purpose, and shows what the product does about it.')
    .argument('<name>', 'name of the drill, or list')
    .addOption(output())
    .addOption(colour())
    .addHelpText(
      'after',
      examples(
        ['catalyst-sre drill list', 'what there is'],
        ['catalyst-sre drill openbao-sealed', 'watch one; exit code 4 when it fails'],
      ),
    )
    .action(async (name: string, flags) => {
      const { drill, listDrills: list } = await import('./offline.ts');
      finish(name === 'list' ? await list(flags, listDrills, io) : await drill(name, flags, runDrill, io));
    });
}

function addAudit(program: Command, { io, finish }: ProgramContext): void {
  remote(
    program
      .command('audit')
      .summary('the record')
      .description('The record: append-only and hash-chained.')
      .command('verify')
      .summary('check that the record still is what was written')
      .description('Recomputes the hash of every entry on the server; exit code 4 when the record was changed.')
      .addOption(output()),
  )
    .addHelpText(
      'after',
      examples(['catalyst-sre audit verify -o json', 'keep the head elsewhere to notice a rewrite']),
    )
    .action(async (flags) => finish(await (await import('./audit.ts')).auditVerify(flags, io)));
}

function addRender(program: Command, { io, registry, finish }: ProgramContext): void {
  const { renderers } = registry;
  if (!renderers || Object.keys(renderers).length === 0) return;
  program
    .command('render')
    .summary('write generated files')
    .description(
      `Writes generated files:\n${Object.entries(renderers)
        .map(([name, { description }]) => `  ${name}: ${description}`)
        .join('\n')}`,
    )
    .addArgument(new Argument('<what>', 'what to write').choices([...Object.keys(renderers), 'all']))
    .requiredOption('--out <folder>', 'folder to write to')
    .addHelpText('after', examples(['catalyst-sre render all --out deploy/generated', 'prints the path of each file']))
    .action(async (what: string, flags) =>
      finish(await (await import('./offline.ts')).render(what, flags, renderers, io)),
    );
}

function addAbout(program: Command, { io, registry, finish }: ProgramContext): void {
  program
    .command('completion')
    .summary('print shell completion')
    .description('Prints completion for a shell.')
    .addArgument(new Argument('<shell>', 'which shell').choices(['bash', 'zsh', 'fish']))
    .addHelpText('after', examples(['source <(catalyst-sre completion bash)', 'now and, in ~/.bashrc, always']))
    .action(async (shell: 'bash' | 'zsh' | 'fish') => {
      const { completion } = await import('./completion.ts');
      io.out(completion(shell, program).trimEnd());
      finish(0);
    });
  program
    .command('version')
    .summary('print the version')
    .description('Prints the version of this program.')
    .addOption(output())
    .addHelpText('after', examples(['catalyst-sre version -o json', 'for a bug report']))
    .action(async (flags) => {
      const { formatOf, printData } = await import('./printers/print.ts');
      const format = formatOf(flags.output);
      const about = {
        version: registry.version,
        node: process.versions.node,
        platform: `${process.platform}-${process.arch}`,
      };
      if (format === 'json' || format === 'yaml') await printData(io, about, format);
      else io.out(`catalyst-sre ${about.version} (Node ${about.node}, ${about.platform})`);
      finish(0);
    });
}
