/** Shell completion, generated from the command tree. */
import type { Command } from 'commander';
import { nouns } from './nouns.ts';

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

interface Node {
  /** Words that lead here: `['incident', 'ack']`. */
  path: string[];
  words: { word: string; description: string }[];
  flags: { flag: string; description: string }[];
}

function nodesOf(command: Command, path: string[] = []): Node[] {
  const visible = command.commands.filter((sub) => sub.name() !== 'help');
  const words = visible.map((sub) => ({ word: sub.name(), description: sub.summary() || sub.description() }));
  if (path.length === 1 && (path[0] === 'get' || path[0] === 'describe'))
    words.push(...nouns.map((noun) => ({ word: noun.plural, description: `${noun.plural} of the server` })));
  for (const choice of command.registeredArguments.flatMap((argument) => argument.argChoices ?? []))
    words.push({ word: choice, description: '' });
  const flags = command.options
    .filter((option) => !option.hidden)
    .flatMap((option) =>
      [option.long, option.short]
        .filter((flag): flag is string => typeof flag === 'string')
        .map((flag) => ({ flag, description: option.description })),
    );
  return [{ path, words, flags }, ...visible.flatMap((sub) => nodesOf(sub, [...path, sub.name()]))];
}

export function completion(shell: Shell, program: Command): string {
  const nodes = nodesOf(program);
  if (shell === 'fish') return fish(nodes);
  return shell === 'zsh' ? zsh(nodes) : bash(nodes);
}

/** Cases from the words typed so far to what may follow. */
function cases(nodes: readonly Node[]): string {
  return nodes
    .map(({ path, words, flags }) => {
      const all = [...words.map(({ word }) => word), ...flags.map(({ flag }) => flag)].join(' ');
      return `    "${path.join(' ')}") candidates="${all}" ;;`;
    })
    .join('\n');
}

function bash(nodes: readonly Node[]): string {
  const known = nodes.filter(({ path }) => path.length > 0).map(({ path }) => path.join('/'));
  return `# bash completion of catalyst-sre; use it with: source <(catalyst-sre completion bash)
_catalyst_sre() {
  local path="" slash="" candidates="" i word
  local known=" ${known.join(' ')} "
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    case "$word" in -*) continue ;; esac
    case "$known" in *" \${slash:+$slash/}$word "*) path="\${path:+$path }$word"; slash="\${slash:+$slash/}$word" ;; esac
  done
  case "$path" in
${cases(nodes)}
  esac
  COMPREPLY=($(compgen -W "$candidates" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _catalyst_sre catalyst-sre
`;
}

function zsh(nodes: readonly Node[]): string {
  const quoted = (text: string) => `'${text.replaceAll("'", '’').replaceAll(':', '\\:')}'`;
  const described = nodes
    .map(({ path, words, flags }) => {
      const all = [
        ...words.map(({ word, description }) => [word, description]),
        ...flags.map(({ flag, description }) => [flag, description]),
      ];
      return `    ${quoted(path.join(' '))}) candidates=(${all.map(([word, about]) => `${quoted(word ?? '').slice(0, -1)}:${quoted(about ?? '').slice(1)}`).join(' ')}) ;;`;
    })
    .join('\n');
  const known = nodes.filter(({ path }) => path.length > 0).map(({ path }) => path.join('/'));
  return `#compdef catalyst-sre
# zsh completion of catalyst-sre; use it with: source <(catalyst-sre completion zsh)
_catalyst_sre() {
  local path_words="" slash="" word
  local -a candidates
  local known=" ${known.join(' ')} "
  for word in "\${words[@]:1:$((CURRENT - 2))}"; do
    case "$word" in -*) continue ;; esac
    case "$known" in *" \${slash:+$slash/}$word "*) path_words="\${path_words:+$path_words }$word"; slash="\${slash:+$slash/}$word" ;; esac
  done
  case "$path_words" in
${described}
  esac
  _describe 'catalyst-sre' candidates || _files
}
compdef _catalyst_sre catalyst-sre
`;
}

function fish(nodes: readonly Node[]): string {
  const quoted = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  const lines = nodes.flatMap(({ path, words, flags }) => {
    const seen = path.map((word) => `__fish_seen_subcommand_from ${word}`);
    const others =
      words.length > 0 ? [`not __fish_seen_subcommand_from ${words.map(({ word }) => word).join(' ')}`] : [];
    const condition = (parts: string[]) => (parts.length === 0 ? '' : ` -n ${quoted(parts.join('; and '))}`);
    return [
      ...words.map(
        ({ word, description }) =>
          `complete -c catalyst-sre -f${condition([...seen, ...others])} -a ${quoted(word)} -d ${quoted(description)}`,
      ),
      ...flags.map(({ flag, description }) => {
        const name = flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`;
        return `complete -c catalyst-sre${condition(seen)} ${name} -d ${quoted(description)}`;
      }),
    ];
  });
  return `# fish completion of catalyst-sre; use it with: catalyst-sre completion fish | source\n${lines.join('\n')}\n`;
}
