/** The command line: gochat MODE [flags]. Parses it, runs the mode's file, and turns errors into exit codes. */
import type { Writable } from 'node:stream';
import { Argument, Command, CommanderError, Option } from 'commander';
import { ExitCode, GochatError } from '../common/mod.ts';
import { completionScript, SHELLS, type Shell } from './completion.ts';
import { addConfig } from './config-command.ts';
import { envName, flagName, type Settings } from './configuration.ts';
import { addCtl } from './ctl.ts';
import { MODES, type Mode } from './settings.ts';
import { VERSION } from './version.ts';

/** Runs a mode with the given flags; resolves with the exit code. */
type Run = (flags: Readonly<Record<string, unknown>>, file: string | undefined) => Promise<number>;

// Code is loaded only for the mode that runs, so that the client starts fast.
const RUNS: Record<Exclude<Mode, 'ctl'>, { summary: string; load: () => Promise<{ run: Run }> }> = {
  up: {
    summary: 'start the whole system in one process, on embedded engines; the mode if none is named',
    load: () => import('./up.ts'),
  },
  gateway: {
    summary: 'start a gateway: it holds the connections of clients',
    load: () => import('./gateway.ts'),
  },
  state: {
    summary: 'start a state server: sessions, delivery and the log',
    load: () => import('./state.ts'),
  },
  ipconf: {
    summary: 'start ipconf: it tells clients which gateway to use',
    load: () => import('./ipconf.ts'),
  },
  api: { summary: 'start the HTTP API', load: () => import('./api.ts') },
  client: { summary: 'chat', load: () => import('./client.ts') },
};

async function main(argv: readonly string[]): Promise<number> {
  let exitCode: number = ExitCode.OK;
  const program = new Command('gochat')
    .description('Distributed chat: gateway, state, ipconf, api and client.')
    .version(VERSION, '-v, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .showHelpAfterError('(gochat --help lists what there is)')
    .exitOverride();
  for (const [mode, { summary, load }] of Object.entries(RUNS)) {
    const command = program
      .command(mode, { isDefault: mode === 'up' })
      .summary(summary)
      .description(`${summary}.`);
    command.showHelpAfterError(`(gochat ${mode} --help lists the flags)`);
    addOptions(command, MODES[mode as Mode]);
    addForeign(command, MODES[mode as Mode]);
    command.action(async ({ config, ...flags }: Record<string, unknown>) => {
      const { run } = await load();
      exitCode = await run(flags, config as string | undefined);
    });
  }
  addCtl(program, addOptions, (code) => {
    exitCode = code;
  });
  addConfig(program, (code) => {
    exitCode = code;
  });
  program
    .command('completion')
    .summary('print a script that completes command lines')
    .description('Prints a script that completes command lines in SHELL: source <(gochat completion bash).')
    .addArgument(new Argument('<shell>', 'the shell that will read it').choices(SHELLS))
    .action((shell: Shell) => {
      process.stdout.write(completionScript(program, shell));
    });
  program
    .command('version')
    .summary('print the version')
    .action(() => {
      process.stdout.write(`${VERSION}\n`);
    });

  try {
    await program.parseAsync(argv);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.OK : ExitCode.USAGE;
    throw error;
  }
  return exitCode;
}

function addOptions(command: Command, settings: Settings): void {
  command.option(
    '--config <file>',
    'YAML file; else $GOCHAT_CONFIG, ./gochat.yaml, ./data/services/gochat.yaml',
  );
  for (const [key, type] of Object.entries(settings)) {
    const standard = type.safeParse(undefined).data as string | number | boolean | undefined;
    const name = flagName(key);
    const notes = [type.description ?? '', `[${envName(key)}]`];
    if (standard) notes.push(`(default: ${standard})`);
    const isFlag = typeof standard === 'boolean';
    const { placeholder = 'value' } = (type.meta() ?? {}) as { readonly placeholder?: string };
    command.addOption(new Option(isFlag ? `--${name}` : `--${name} <${placeholder}>`, notes.join(' ')));
    if (isFlag && standard) command.addOption(new Option(`--no-${name}`, `the opposite of --${name}`));
  }
}

/** Accepts the flags of other modes too, so that loadConfig can say which mode they belong to. */
function addForeign(command: Command, own: Settings): void {
  const all = new Set(Object.values(MODES).flatMap((settings) => Object.keys(settings)));
  for (const key of all)
    if (!Object.hasOwn(own, key)) command.addOption(new Option(`--${flagName(key)} [value]`).hideHelp());
}

function report(error: unknown): number {
  const known = GochatError.known(error);
  if (known !== undefined) {
    // Print the reason if the error has a cause of ours, or if the catalogue asks for one.
    const { cause, message } = known;
    const reason =
      cause instanceof Error && !(cause instanceof GochatError) ? cause.message.split('\n')[0] : '';
    const more = reason === undefined || message.includes(reason) ? '' : ` (${reason})`;
    process.stderr.write(`gochat: ${known.code}: ${message}${more}\n`);
    return known.entry.exit ?? ExitCode.RUNTIME;
  }
  process.stderr.write(`gochat: ${error instanceof Error ? error.stack : String(error)}\n`);
  return ExitCode.RUNTIME;
}

/** Resolves when all output is written or its reader is gone: process.exit drops what a pipe has not taken. */
function flushed(output: Writable): Promise<void> {
  return new Promise((resolve) => {
    output.on('error', () => resolve());
    output.write('', () => resolve());
  });
}

const exitCode = await main(process.argv).catch(report);
await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
process.exit(exitCode);
