/**
 * The command tree: names, flags and help. What a command does is loaded when it runs, so that help and completion are
 * there at once.
 */
import { Argument, Command } from 'commander';
import { addFailover, addGate } from './program-failover.ts';
import { colour, examples, output, type ProgramContext, remote, several, speed } from './program-parts.ts';
import { addAudit, addIncident, addLogin, addOnCall, addRead, addRun } from './program-remote.ts';
import { addWitness } from './program-witness.ts';
import type { ProbeOptions, ServeOptions } from './registry.ts';

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
  addProbe(program, context);
  addFailover(program, context);
  addGate(program, context);
  addRead(program, context);
  addIncident(program, context);
  addRun(program, context);
  addOnCall(program, context);
  addRunbook(program, context);
  addDrill(program, context);
  addWitness(program, context);
  addAudit(program, context);
  addLogin(program, context);
  addSlo(program, context);
  addRender(program, context);
  addAbout(program, context);
  return program;
}

function addProbe(program: Command, { io, registry, finish }: ProgramContext): void {
  const { probe } = registry;
  if (!probe) return;
  program
    .command('probe')
    .summary('ask targets from outside: HTTP, TLS, DNS')
    .description(
      'Probes HTTP addresses, TLS certificates and DNS names again and again, and serves what it finds at /metrics under the names of the blackbox exporter. Scrape it with honor_labels: true.',
    )
    .requiredOption('--config <file>', 'what to probe')
    .option('--listen <host:port>', 'address of /metrics and /healthz', '127.0.0.1:9115')
    .option('--once', 'probe each target once, print the metrics and end: 0 when all are well', false)
    .addHelpText(
      'after',
      examples(
        ['catalyst-sre probe --config probes.yaml --once', 'try the targets out'],
        ['catalyst-sre probe --config probes.yaml --listen 0.0.0.0:9115', 'for Prometheus to scrape'],
      ),
    )
    .action(async (flags: ProbeOptions) => finish((await probe(flags, io)) ? 0 : 1));
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
      .option('--set <name=value>', 'an input; may be given several times', several)
      .option('--alert <id>', 'the alert it is about, for runbooks that name its labels')
      .option('--incident <id>', 'the incident it is about')
      .option('--organization <name>', 'whose runbook, with a Sovereign-wide token')
      .option('-f, --follow', 'tell what happens and end as the run ends', false),
  )
    .addHelpText(
      'after',
      examples(
        ['catalyst-sre runbook run scale-up --set replicas=3 --dry-run', 'what it would do'],
        ['catalyst-sre runbook run scale-up --set replicas=3 -f', 'do it, and watch'],
        ['catalyst-sre runbook run high-memory-usage --alert ID', 'for an alert nothing was done about'],
      ),
    )
    .action(async (name: string, flags) => finish(await (await import('./act.ts')).startRun(name, flags, io)));

  const { lintRunbooks, explainRunbooks, explainAlert, testRunbooks } = registry;
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
  if (explainRunbooks && explainAlert)
    remote(
      runbook
        .command('explain')
        .summary('say what runbooks do, or would do about an alert')
        .description(
          'Says in words what runbooks do. With an alert: what would be done about it now, with every fact that counts, its value and its age. The alert is one of a server (--alert), or one you think of (--labels); with --given or --config no server is asked.',
        )
        .argument('[what...]', 'files and folders; or, when a server is asked, the name of a runbook')
        .addOption(output())
        .addOption(colour())
        .option('--alert <id>', 'an alert the server knows')
        .option('--labels <name=value>', 'labels of an alert you think of; may be given several times', several)
        .option('--set <name=value>', 'an input of the runbook; may be given several times', several)
        .option('--organization <name>', 'whose alert it is')
        .option('--given <file>', 'ask this world: what stands under given: in a RunbookTest')
        .option('--config <file>', 'ask the systems of this configuration, without a server'),
    )
      .addHelpText(
        'after',
        examples(
          ['catalyst-sre runbook explain openbao-sealed.yaml', 'for the person who reviews it'],
          ['catalyst-sre runbook explain --alert ID', 'what would be done about it right now, and why not'],
          ['catalyst-sre runbook explain openbao-sealed --labels alertname=OpenBaoSealed', 'what if it fired'],
          ['catalyst-sre runbook explain runbooks/ --given world.yaml', 'offline, in a world you describe'],
        ),
      )
      .action(async (what: string[], flags) =>
        finish(await (await import('./explain.ts')).explain(what, flags, { explainRunbooks, explainAlert }, io)),
      );
  addBacktest(runbook, { io, registry, finish });
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

function addBacktest(runbook: Command, { io, registry, finish }: ProgramContext): void {
  const { backtestRunbooks } = registry;
  if (!backtestRunbooks) return;
  runbook
    .command('backtest')
    .summary('say what runbooks would have done about alerts of the past')
    .description(
      "Replays alerts of the past through runbooks, with the product's own episodes, matching and guards: what would have been done about each, or why nothing. Alerts come from an Alertmanager's event recorder or saved webhook bodies (--from), or from the ALERTS series of a Prometheus. Reads only.",
    )
    .argument('<paths...>', 'files and folders of runbooks')
    .addOption(output())
    .addOption(colour())
    .option('--from <file>', 'JSON lines or JSON; - is standard input; may be given several times', several)
    .option('--prometheus <url>', 'a Prometheus whose ALERTS are read')
    .option('--since <duration>', 'how far back Prometheus is asked', '7d')
    .option('--step <duration>', 'distance of its samples; shorter firings may not show', '1m')
    .option('--against <path>', 'compare with other runbooks: a folder, or REVISION:PATH in Git')
    .option('--config <file>', 'take modes and Organizations from a configuration; all is Automatic without')
    .option('--budget-spent <share>', 'share of the budgets taken for spent, 0.85; none is set without')
    .addHelpText(
      'after',
      examples(
        ['catalyst-sre runbook backtest runbooks/ --from events.jsonl', 'how often they would have acted'],
        ['catalyst-sre runbook backtest runbooks/ --prometheus http://127.0.0.1:9090 --since 30d', 'a month of alerts'],
        [
          'catalyst-sre runbook backtest runbooks/ --from events.jsonl --against main:runbooks',
          'what a change changes',
        ],
        ['catalyst-sre runbook backtest runbooks/ --from events.jsonl -o wide', 'each firing, with the sentence'],
      ),
    )
    .action(async (paths: string[], flags) =>
      finish(await (await import('./backtest.ts')).backtest(paths, flags, backtestRunbooks, io)),
    );
}

function addDrill(program: Command, { io, registry, finish }: ProgramContext): void {
  const { listDrills, runDrill, isFailoverDrill } = registry;
  if (!listDrills || !runDrill) return;
  remote(
    program
      .command('drill')
      .summary('a game day on the sandbox, or between two pocket regions')
      .description(
        'Breaks something in a sandbox on purpose, and shows what the product does about it: in the running sandbox of this folder or of --server, where it was started with --drills; otherwise, or with --alone, in a pocket Sovereign of its own. The drills of failover run between two pocket regions on this machine.',
      )
      .argument('<name>', 'name of the drill, or list')
      .addOption(output())
      .addOption(colour())
      .option('--alone', 'in a pocket Sovereign of its own, which is gone afterwards', false)
      .addOption(speed()),
  )
    .addHelpText(
      'after',
      examples(
        ['catalyst-sre drill list', 'what there is'],
        ['catalyst-sre drill openbao-sealed', 'watch one; exit code 4 when it fails, 5 when a guard held it back'],
        ['catalyst-sre drill region-loss', 'two regions and a witness on this machine'],
      ),
    )
    .action(async (name: string, flags) =>
      finish(
        await (await import('./drill.ts')).drill(
          name,
          flags,
          { listDrills, runDrill, ...(isFailoverDrill && { isFailoverDrill }) },
          io,
        ),
      ),
    );
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
    .option('--from <paths...>', 'documents that go before those of the handbook, files and folders')
    .option('--check', 'write nothing; say what is wrong, and which files are not as they would be', false)
    .option('--receiver-url <url>', 'alertmanager: where our receiver is')
    .option('--token-file <path>', "alertmanager: file in Alertmanager's container that holds the receiver's token")
    .option('--heartbeat-url <url>', 'alertmanager: a service that calls people when it is no longer called')
    .option('--gitea-url <url>', 'alertmanager: Gitea, for the variant without our receiver')
    .option('--alertmanager-version <version>', 'alertmanager: from 0.28 on, timeouts are written')
    .addOption(colour())
    .addHelpText(
      'after',
      examples(
        ['catalyst-sre render all --out deploy/generated', 'prints the path of each file'],
        ['catalyst-sre render all --out deploy/generated --check', 'in CI: exit code 1 when a file is stale'],
        ['catalyst-sre render prometheus --from slos/ --out rules', "your own documents beside the handbook's"],
      ),
    )
    .action(async (what: string, flags) =>
      finish(await (await import('./offline.ts')).render(what, flags, renderers, io)),
    );
}

function addSlo(program: Command, { io, registry, finish }: ProgramContext): void {
  const { lintSlos, explainSlos, testSlos } = registry;
  if (!lintSlos || !explainSlos || !testSlos) return;
  const slo = program
    .command('slo')
    .summary('lint, explain or test service level objectives and alerts')
    .description('Works with service level objectives, alert rules and Alertmanager configurations.');
  const offline = (name: string, summary: string, description: string) =>
    slo
      .command(name)
      .summary(summary)
      .description(description)
      .argument('<paths...>', 'files and folders')
      .addOption(output())
      .addOption(colour());
  offline(
    'lint',
    'say what cannot work',
    'Says what is wrong with objectives, alert rules and Alertmanager configurations: alerts that cannot fire, buckets and labels that are not there, routes that lead nowhere, alerts without a runbook.',
  )
    .addHelpText(
      'after',
      examples(
        ['catalyst-sre slo lint slos/', 'in CI: exit code 2 when there is an error'],
        ['catalyst-sre slo lint alertmanager.yml', 'what amtool does not find'],
      ),
    )
    .action(async (paths: string[], flags) =>
      finish(await (await import('./offline.ts')).lint(paths, flags, lintSlos, io)),
    );
  offline(
    'explain',
    'say in words what is promised',
    'Says in words what is measured, what is promised, and when who is told.',
  )
    .addHelpText('after', examples(['catalyst-sre slo explain slos/checkout.yaml', 'for the person who reviews it']))
    .action(async (paths: string[], flags) =>
      finish(await (await import('./offline.ts')).explainSlos(paths, flags, explainSlos, io)),
    );
  offline(
    'test',
    'show that the alerts fire',
    'Renders the rules and runs their generated unit tests with promtool: silent while all is well, firing, recovering, idle, no data.',
  )
    .addHelpText('after', examples(['catalyst-sre slo test slos/', 'in CI: exit code 1 when one fails']))
    .action(async (paths: string[], flags) =>
      finish(await (await import('./offline.ts')).testRunbooks(paths, flags, testSlos, io)),
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
