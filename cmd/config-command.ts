/** `gochat config VIEW MODE`: the settings of a mode, and what this machine sets them to. */
import { Argument, type Command } from 'commander';
import { stringify } from 'yaml';
import { ExitCode } from '../common/mod.ts';
import { load, mask } from './config.ts';
import { envName, fileKey, flagName } from './configuration.ts';
import { MODES, type Mode, SECRETS } from './settings.ts';

interface View {
  readonly name: string;
  readonly summary: string;
  /** Whether it reads the configuration file and the environment. */
  readonly effective: boolean;
  readonly render: (mode: Mode, file: string | undefined) => string;
}

const VIEWS: readonly View[] = [
  {
    name: 'default',
    summary: 'print a configuration file with the default of each setting',
    effective: false,
    render: renderDefaults,
  },
  {
    name: 'check',
    summary: 'check the configuration (file, environment, defaults), and print it without secrets',
    effective: true,
    render: renderEffective,
  },
  {
    name: 'doc',
    summary: 'describe each setting: key, flag, variable, default and meaning',
    effective: false,
    render: renderDoc,
  },
  {
    name: 'env',
    summary: 'check the configuration, and print it as environment variables; secrets are comments',
    effective: true,
    render: renderEnv,
  },
];

/** Adds the command to the program; `onExit` gets its exit code. */
export function addConfig(program: Command, onExit: (code: number) => void): void {
  const config = program
    .command('config')
    .summary('check, print or describe the settings of a mode')
    .description('Checks, prints or describes the settings of a mode.');
  for (const { name, summary, effective, render } of VIEWS) {
    const command = config.command(name).summary(summary).description(`${summary}.`);
    command.addArgument(new Argument('<mode>', 'whose settings').choices(Object.keys(MODES)));
    if (effective) command.option('--config <file>', 'YAML file');
    command.action((mode: Mode, { config: file }: { config?: string }) => {
      process.stdout.write(render(mode, file));
      onExit(ExitCode.OK);
    });
  }
}

/** A YAML file of the defaults. A setting without one is a comment. */
function renderDefaults(mode: Mode): string {
  const lines = settingsOf(mode).map(({ key, meaning, standard }) => {
    const name = fileKey(key);
    const line = standard === undefined ? `# ${name}:` : stringify({ [name]: standard }).trimEnd();
    return `  # ${meaning}\n  ${line}\n`;
  });
  return `${mode}:\n${lines.join('')}`;
}

function renderEffective(mode: Mode, file: string | undefined): string {
  const shown = effectiveOf(mode, file).map(({ key, value }) => [fileKey(key), value]);
  return stringify({ [mode]: Object.fromEntries(shown) });
}

function renderDoc(mode: Mode): string {
  return settingsOf(mode)
    .map(({ key, meaning, standard }) => {
      const shown = standard === undefined || standard === '' ? 'none' : String(standard);
      return `${fileKey(key)}\n  --${flagName(key)}, ${envName(key)}; default: ${shown}\n  ${meaning}\n`;
    })
    .join('\n');
}

/** A file for `docker run --env-file` and for EnvironmentFile= of systemd. */
function renderEnv(mode: Mode, file: string | undefined): string {
  return effectiveOf(mode, file)
    .filter(({ value }) => value !== undefined && value !== '')
    .map(({ key, value }) => `${SECRETS.has(key) ? '# ' : ''}${envName(key)}=${String(value)}\n`)
    .join('');
}

/** The settings in effect; secrets are masked. */
function effectiveOf(mode: Mode, file: string | undefined) {
  return Object.entries(load(mode, {}, file)).map(([key, value]: [string, unknown]) => ({
    key,
    value: SECRETS.has(key) ? mask(value) : value,
  }));
}

function settingsOf(mode: Mode) {
  return Object.entries(MODES[mode]).map(([key, type]) => ({
    key,
    meaning: type.description ?? '',
    standard: type.safeParse(undefined).data as string | number | boolean | undefined,
  }));
}
