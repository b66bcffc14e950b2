/**
 * `gochat ctl SUBCOMMAND`: queries and controls a running server over its admin port. One file per subcommand in ctl/.
 */
import type { Command } from 'commander';
import type { Settings } from './configuration.ts';
import { load } from './config.ts';
import { AdminClient } from './ctl/admin-client.ts';
import { account, accounts } from './ctl/accounts.ts';
import type { Subcommand } from './ctl/subcommand.ts';
import { backup, restore } from './ctl/backup.ts';
import { drain } from './ctl/drain.ts';
import { evidence } from './ctl/evidence.ts';
import { session, trace } from './ctl/explain.ts';
import { keys } from './ctl/keys.ts';
import { kick } from './ctl/kick.ts';
import { ctlSettings } from './settings.ts';

const SUBCOMMANDS: readonly Subcommand[] = [
  drain,
  kick,
  session,
  trace,
  evidence,
  accounts,
  account,
  keys,
  backup,
  restore,
];

/** Adds the command to the program; `onExit` gets its exit code. */
export function addCtl(
  program: Command,
  addOptions: (command: Command, settings: Settings) => void,
  onExit: (code: number) => void,
): void {
  const ctl = program
    .command('ctl')
    .summary('ask or tell a running server')
    .description('Asks or tells a running server, over its admin port.');
  for (const subcommand of SUBCOMMANDS) {
    const { name, summary, args = [], options = [] } = subcommand;
    const command = ctl.command(name).summary(summary).description(`${summary}.`);
    command.showHelpAfterError(`(gochat ctl ${name} --help lists the flags)`);
    for (const [arg, text] of args) command.argument(arg, text);
    for (const [flags, text] of options) command.option(flags, text);
    addOptions(command, ctlSettings);
    command.action(async (...given: unknown[]) => {
      const values = given.slice(0, args.length) as (string | undefined)[];
      const flags = given[args.length] as Record<string, unknown>;
      const { config: file, admin, adminToken, ...own } = flags;
      const config = load('ctl', { admin, adminToken }, file as string | undefined);
      const print = (text: string) => void process.stdout.write(`${text}\n`);
      const client = new AdminClient(config.admin, config.adminToken);
      onExit(await subcommand.run({ client, args: values, options: own, print }));
    });
  }
}
