/** The part of the command tree that reads from a server and acts on incidents, runs and the record. */
import { Argument, type Command, InvalidArgumentError } from 'commander';
import type { GetFlags } from './get.ts';
import { colour, examples, output, type ProgramContext, remote } from './program-parts.ts';

export function addRead(program: Command, { io, finish }: ProgramContext): void {
  const noun = () =>
    new Argument(
      '<what>',
      'alerts, deadletters, incidents, incident-types, runs, runbooks, slos, on-call, decisions, approvals, pages, statistics or record',
    );
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
      .option('--service <name>', 'only objectives of this service')
      .option('--incident <id>', 'only what belongs to this incident')
      .option('--alert <id>', 'only what belongs to this alert')
      .option('--run <id>', 'only what belongs to this run')
      .option('--by <what>', 'statistics: a row for each type, runbook or organization')
      .option('--window <duration>', 'statistics: how far back, 30d by default'),
  )
    .addHelpText(
      'after',
      examples(
        ['catalyst-sre get incidents --state Open', 'what nobody has taken yet'],
        ['catalyst-sre get runs -w', 'runs, and every change of one'],
        ['catalyst-sre get on-call', 'who is called, until when, and who comes next'],
        ['catalyst-sre get decisions --alert ID -o wide', 'why nothing was done about an alert'],
        ['catalyst-sre get statistics --by runbook --window 90d', 'how fast, and what automation fixed'],
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
      .addOption(output())
      .addOption(colour()),
  )
    .addHelpText(
      'after',
      examples(
        ['catalyst-sre describe incident ID', 'alerts, runs, pages and timeline'],
        ['catalyst-sre describe run ID', 'decision, approvals and journal'],
        ['catalyst-sre describe incident ID -o json', 'all of it, for a program'],
      ),
    )
    .action(async (what: string, names: string[], flags) =>
      finish(await (await import('./describe.ts')).describe(what, names, flags, io)),
    );
}

export function addIncident(program: Command, { io, finish }: ProgramContext): void {
  const incident = program
    .command('incident')
    .summary('take, escalate, resolve, annotate, merge or split an incident')
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
    .option('--seen <version>', 'its version as you saw it: if it has changed since, nothing is done', versionOf)
    .addHelpText(
      'after',
      examples(['catalyst-sre incident ack ID -m "looking at it"', 'the timeline shows who and why']),
    )
    .action(async (id: string, flags) =>
      finish(
        await (await import('./act.ts')).act(
          'incident',
          'acknowledge',
          [id],
          { comment: flags.comment, version: flags.seen },
          flags,
          io,
        ),
      ),
    );
  verb('escalate', 'ask for help: page the next step of the escalation policy now')
    .option('-m, --comment <text>', 'what you need; those who are paged read it')
    .addHelpText(
      'after',
      examples(['catalyst-sre incident escalate ID -m "needs the network team"', 'whoever is next is paged at once']),
    )
    .action(async (id: string, flags) =>
      finish(await (await import('./act.ts')).act('incident', 'escalate', [id], { comment: flags.comment }, flags, io)),
    );
  verb('resolve', 'resolve an incident')
    .requiredOption('-m, --resolution <text>', 'what the cause was and what ended it')
    .option('--false-alarm', 'nothing was wrong: it does not count in statistics')
    .addHelpText(
      'after',
      examples(['catalyst-sre incident resolve ID -m "certificate renewed"', 'the text goes on record']),
    )
    .action(async (id: string, flags) =>
      finish(
        await (await import('./act.ts')).act(
          'incident',
          'resolve',
          [id],
          { resolution: flags.resolution, falseAlarm: flags.falseAlarm },
          flags,
          io,
        ),
      ),
    );
  verb('note', 'add a note to the timeline of an incident')
    .requiredOption('-m, --text <text>', 'the note')
    .addHelpText('after', examples(['catalyst-sre incident note ID -m "network team informed"', 'for who takes over']))
    .action(async (id: string, flags) =>
      finish(await (await import('./act.ts')).act('incident', 'notes', [id], { text: flags.text }, flags, io)),
    );
  remote(
    incident
      .command('review')
      .summary('the draft of a post-incident review')
      .description('Prints the draft of a post-incident review, as Markdown, from the record.'),
  )
    .argument('<id>', 'id of the incident')
    .addHelpText(
      'after',
      examples(['catalyst-sre incident review ID', 'redirect it into a file; what happened is filled in']),
    )
    .action(async (id: string, flags) => finish(await (await import('./act.ts')).review(id, flags, io)));
  verb('merge', 'merge an incident into another one')
    .requiredOption('--into <id>', 'the incident that goes on, with the alerts and runs of both')
    .addHelpText('after', examples(['catalyst-sre incident merge ID --into OTHER', 'two incidents, one cause']))
    .action(async (id: string, flags) =>
      finish(await (await import('./act.ts')).act('incident', 'merge', [id], { into: flags.into }, flags, io)),
    );
  verb('split', 'take alerts out of an incident into a new one')
    .requiredOption('--alerts <ids...>', 'the alerts that leave; at least one has to stay')
    .option('--title <text>', 'title of the new incident')
    .addHelpText('after', examples(['catalyst-sre incident split ID --alerts ALERT', 'two causes in one incident']))
    .action(async (id: string, flags) =>
      finish(
        await (await import('./act.ts')).act(
          'incident',
          'split',
          [id],
          { alerts: flags.alerts, title: flags.title },
          flags,
          io,
        ),
      ),
    );
}

export function addOnCall(program: Command, { io, finish }: ProgramContext): void {
  const onCall = program
    .command('on-call')
    .summary('who is on call, as a calendar')
    .description('Works with on-call schedules; get on-call and describe on-call show them.');
  const verb = (name: string, summary: string, description: string) =>
    remote(onCall.command(name).summary(summary).description(description))
      .argument('<name>', 'name of the schedule')
      .option('--person <name>', "only this person's shifts")
      .option('--organization <name>', 'whose schedule, where several have the name');
  verb(
    'export',
    'print a schedule as iCalendar',
    'Prints the shifts of four months as iCalendar, for any calendar program.',
  )
    .addHelpText(
      'after',
      examples(
        ['catalyst-sre on-call export sre', 'write it into a file with the shell, and import that'],
        ['catalyst-sre on-call export sre --person mira', 'my own shifts'],
      ),
    )
    .action(async (name: string, flags) =>
      finish(await (await import('./on-call.ts')).exportCalendar(name, flags, io)),
    );
  verb(
    'feed',
    'print the address at which a calendar program follows a schedule',
    'Prints an address that needs no login: whoever has it can read the calendar.',
  )
    .addHelpText(
      'after',
      examples(['catalyst-sre on-call feed sre --person mira', 'subscribe to it in the calendar of the phone']),
    )
    .action(async (name: string, flags) => finish(await (await import('./on-call.ts')).calendarFeed(name, flags, io)));
}

export function addRun(program: Command, { io, finish }: ProgramContext): void {
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

export function addAudit(program: Command, { io, finish }: ProgramContext): void {
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

function versionOf(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('It is a whole number from 1.');
  return Number(text);
}

export function addLogin(program: Command, { io, finish }: ProgramContext): void {
  const linkKey = program
    .command('link-key')
    .description('The key that signs the links in pages and the addresses of calendars.');
  linkKey.summary('the key of links');
  remote(
    linkKey
      .command('replace')
      .summary('make every link in a page and every calendar address worthless')
      .description('Replaces the key in the database. Where the configuration names a file, replace that and restart.')
      .addOption(output()),
  )
    .addHelpText('after', examples(['catalyst-sre link-key replace', 'when pages were forwarded to the wrong people']))
    .action(async (flags) => finish(await (await import('./login.ts')).replaceLinkKey(flags, io)));
  remote(
    program
      .command('login')
      .summary('a link that opens the console, once')
      .description('Prints a link that logs a browser in as who the token stands for: once, and within an hour.')
      .option('--person <name>', 'who it is, as the record will name them', 'you')
      .addOption(output()),
  )
    .addHelpText('after', examples(['catalyst-sre login', 'beside npm start, to open the console once more']))
    .action(async (flags) => finish(await (await import('./login.ts')).login(flags, io)));
}
