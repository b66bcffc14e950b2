/** `gochat completion SHELL`: scripts that complete command lines, made from the definition of the commands. */
import type { Command } from 'commander';

/** A command as the shells need it. */
interface Node {
  /** Names of the commands down to this one, without the program's: `['ctl', 'kick']`. */
  readonly path: readonly string[];
  readonly commands: readonly Word[];
  readonly flags: readonly Flag[];
  /** Values of its first argument, if they are known. */
  readonly values: readonly string[];
}

interface Word {
  readonly name: string;
  readonly summary: string;
}

interface Flag extends Word {
  readonly takesValue: boolean;
}

const RENDERERS = { bash, zsh, fish } as const;
export type Shell = keyof typeof RENDERERS;
export const SHELLS = Object.keys(RENDERERS) as readonly Shell[];

/** Returns the completion script of a program for a shell. */
export function completionScript(program: Command, shell: Shell): string {
  return RENDERERS[shell](nodesOf(program, []));
}

function nodesOf(command: Command, path: readonly string[]): Node[] {
  const help = command.createHelp();
  const commands = help.visibleCommands(command).filter((one) => one.name() !== 'help');
  const node: Node = {
    path,
    commands: commands.map((one) => ({ name: one.name(), summary: help.subcommandDescription(one) })),
    flags: help.visibleOptions(command).map((option) => ({
      name: option.long ?? option.flags,
      summary: firstPart(option.description),
      takesValue: option.required || option.optional,
    })),
    values: command.registeredArguments[0]?.argChoices ?? [],
  };
  return [node, ...commands.flatMap((one) => nodesOf(one, [...path, one.name()]))];
}

/** The meaning of a flag without its variable and default. */
function firstPart(description: string): string {
  return description.split(' [GOCHAT_')[0] ?? '';
}

/** Branches of a `case` on the command reached, for bash and zsh. */
function cases(nodes: readonly Node[], body: (node: Node) => string): string {
  return nodes.map((node) => `    '${node.path.join(' ')}')\n${body(node)}      ;;\n`).join('');
}

function bash(nodes: readonly Node[]): string {
  const body = ({ commands, flags, values }: Node) =>
    `        words='${[...commands.map(({ name }) => name), ...values].join(' ')}'\n` +
    `        flags='${flags.map(({ name }) => name).join(' ')}'\n` +
    `        valued=' ${valued(flags).join(' ')} '\n`;
  return `# Completion of gochat for bash: source <(gochat completion bash)
_gochat() {
  local at='' words flags valued index
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]}
  # The command that the words before this one name.
  for ((index = 1; index < COMP_CWORD; index++)); do
    case "\${at:+$at }\${COMP_WORDS[index]}" in
      ${paths(nodes)})
        at="\${at:+$at }\${COMP_WORDS[index]}" ;;
    esac
  done
  case $at in
${cases(nodes, body)}  esac
  if [[ $valued == *" $before "* ]]; then
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
  elif [[ $word == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$word")
  else
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
  fi
}
complete -F _gochat gochat
`;
}

function zsh(nodes: readonly Node[]): string {
  const body = ({ commands, flags, values }: Node) =>
    `        commands=(${[...commands, ...values.map(bare)].map(described).join(' ')})\n` +
    `        flags=(${flags.map(described).join(' ')})\n` +
    `        valued=' ${valued(flags).join(' ')} '\n`;
  return `#compdef gochat
# Completion of gochat for zsh: save it as _gochat in a folder of $fpath, or: source <(gochat completion zsh)
_gochat() {
  local at='' valued index
  local -a commands flags
  # The command that the words before this one name.
  for ((index = 2; index < CURRENT; index++)); do
    case "\${at:+$at }$words[index]" in
      (${paths(nodes)})
        at="\${at:+$at }$words[index]" ;;
    esac
  done
  case $at in
${cases(nodes, body)}  esac
  if [[ $valued == *" $words[CURRENT-1] "* ]]; then
    _files
  elif [[ $words[CURRENT] == -* ]]; then
    _describe -o flag flags
  else
    _describe command commands
  fi
}
if [[ $funcstack[1] == _gochat ]]; then _gochat "$@"; else compdef _gochat gochat; fi
`;
}

function fish(nodes: readonly Node[]): string {
  const lines = nodes.flatMap(({ path, commands, flags, values }) => {
    const when = `complete -c gochat -n '__gochat_at ${path.join(' ')}'`;
    return [
      ...[...commands, ...values.map(bare)].map(
        ({ name, summary }) => `${when} -a ${name} -d ${quoted(summary)}`,
      ),
      ...flags.map(({ name, summary, takesValue }) => {
        const value = takesValue ? '-r -F ' : '';
        return `${when} -l ${name.replace(/^--/, '')} ${value}-d ${quoted(summary)}`;
      }),
    ];
  });
  // The root has no name, so the words that lead to a command are compared with a blank before them.
  const known = nodes.filter(({ path }) => path.length > 0).map(({ path }) => `' ${path.join(' ')}'`);
  return `# Completion of gochat for fish: gochat completion fish > ~/.config/fish/completions/gochat.fish
function __gochat_at --description 'Whether the words before the cursor name this command'
  set -l at ''
  set -l words (commandline -opc)
  for word in $words[2..]
    switch "$at $word"
      case ${known.join(' ')}
        set at "$at $word"
    end
  end
  test "$at" = (string join ' ' '' $argv)
end
complete -c gochat -f
${lines.join('\n')}
`;
}

function valued(flags: readonly Flag[]): string[] {
  return flags.filter(({ takesValue }) => takesValue).map(({ name }) => name);
}

/** The paths of all commands below the program, as a pattern of `case`. */
function paths(nodes: readonly Node[]): string {
  return nodes
    .filter(({ path }) => path.length > 0)
    .map(({ path }) => `'${path.join(' ')}'`)
    .join(' | ');
}

function bare(name: string): Word {
  return { name, summary: '' };
}

/** name:summary, as _describe of zsh takes it. */
function described({ name, summary }: Word): string {
  return quoted(summary === '' ? name : `${name}:${summary}`);
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
