/** The part of the command tree that is about witnesses: serving one, checking them, looking at a lease. */
import type { Command } from 'commander';
import { colour, examples, output, type ProgramContext } from './program-parts.ts';
import type { WitnessServeOptions } from './registry.ts';

export function addWitness(program: Command, { io, registry, finish }: ProgramContext): void {
  const { witness: commands } = registry;
  if (!commands) return;
  const witness = program
    .command('witness')
    .summary('keep, check and read the leases of failover groups')
    .description(
      'A witness keeps one lease per failover group, outside both regions. Whoever the lease names may be active.\nWithout a subcommand it serves.',
    );
  witness
    .command('serve', { isDefault: true })
    .summary('start a witness')
    .description(
      'Starts a witness: an HTTP service over one file, which answers after fsync and lets in only regions whose keys it knows.',
    )
    .option('--listen <host:port>', 'address to listen on', '127.0.0.1:8470')
    .option('--data <folder>', 'folder of the file; on a local disk', './.catalyst-sre-witness')
    .option('--config <file>', 'regions and TLS; docs/witnesses.md has an example')
    .option(
      '--region <name=key>',
      'a region and its public key, instead of a configuration; may be given several times',
      (value: string, all: string[]) => [...all, value],
      [] as string[],
    )
    .addHelpText(
      'after',
      examples(
        ['catalyst-sre witness serve --region fsn=ed25519:… --region hel=ed25519:…', 'try it out on this machine'],
        [
          'catalyst-sre witness serve --listen 0.0.0.0:8470 --data /var/lib/witness --config witness.yaml',
          'in a third place',
        ],
      ),
    )
    .action(async (flags: WitnessServeOptions) => {
      await commands.serve(flags, io);
      finish(0);
    });
  witness
    .command('key')
    .summary('make the key of a region')
    .description(
      'Writes a new private key to a file only its owner may read, and prints the public key for everybody else.',
    )
    .requiredOption('--out <file>', 'file for the private key; must not be there yet')
    .addHelpText('after', examples(['catalyst-sre witness key --out fsn.key', 'prints ed25519:…']))
    .action(async ({ out }: { out: string }) => {
      io.out(await commands.newKey(out));
      io.err(
        `The private key is in ${out}. It stays in its region; the word above goes to the witness and to the peer.`,
      );
      finish(0);
    });
  witness
    .command('check')
    .summary('say whether the configured witnesses can hold a lease')
    .description(
      'Races, replays and re-reads against each witness, in a register of its own (self-check-<region>), and says which checks hold.\nA store that is only eventually consistent fails.',
    )
    .requiredOption('--config <file>', 'configuration with region, key and witnesses')
    .option('--witness <name>', 'only this one')
    .addOption(output())
    .addOption(colour())
    .addHelpText(
      'after',
      examples([
        'catalyst-sre witness check --config failover.yaml',
        'before a group relies on it; exit code 4 when one fails',
      ]),
    )
    .action(async (flags) => finish(await (await import('./witness.ts')).check(flags, commands, io)));
  witness
    .command('get')
    .summary('show the lease of a group, as each witness has it')
    .description('Asks each configured witness for the lease of a group.')
    .argument('<group>', 'failover group')
    .requiredOption('--config <file>', 'configuration with region, key and witnesses')
    .addOption(output())
    .addOption(colour())
    .addHelpText(
      'after',
      examples(['catalyst-sre witness get orders --config failover.yaml', 'who holds it, at which epoch']),
    )
    .action(async (group: string, flags) =>
      finish(await (await import('./witness.ts')).get(group, flags, commands, io)),
    );
}
