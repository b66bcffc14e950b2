/** `gochat ctl accounts` and `account`: lists accounts, and changes one. */
import { ExitCode, GochatError } from '../../common/mod.ts';
import type { Json } from './admin-client.ts';
import type { Subcommand } from './subcommand.ts';

/** Options of `account` by their camelCase name, with the name of the change. */
const CHANGES = {
  suspend: 'suspend',
  restore: 'restore',
  grantAdmin: 'grant-admin',
  revokeAdmin: 'revoke-admin',
  resetPassword: 'reset-password',
  endSessions: 'end-sessions',
} as const;

export const accounts: Subcommand = {
  name: 'accounts',
  summary: 'list all accounts; ask a state server',
  async run({ client, print }) {
    for (let after: string | undefined = ''; after !== undefined; ) {
      const page: Json = await client.call('GET', `/accounts?after=${encodeURIComponent(after)}`);
      for (const account of page['accounts'] as Json[]) print(lineOf(account));
      after = typeof page['next'] === 'string' ? page['next'] : undefined;
    }
    return ExitCode.OK;
  },
};

export const account: Subcommand = {
  name: 'account',
  summary: 'change an account; ask a state server',
  args: [['<user>', 'name or id']],
  options: [
    ['--suspend', 'end all sessions and refuse log-ins, those of bots too'],
    ['--restore', 'allow log-ins again'],
    ['--grant-admin', 'make the user an admin of the server'],
    ['--revoke-admin', 'no longer'],
    ['--reset-password', 'print a new password, and end all sessions'],
    ['--end-sessions', 'end all sessions with their connections'],
  ],
  async run({ client, args: [user = ''], options, print }) {
    const given = Object.entries(CHANGES).filter(([option]) => options[option] === true);
    const [change] = given;
    if (change === undefined || given.length > 1)
      throw new GochatError('USAGE', { details: { what: 'Name one change, such as --suspend.' } });
    const query = new URLSearchParams({ user, change: change[1] });
    const answer = await client.call('POST', `/account?${query.toString()}`);
    if (typeof answer['password'] === 'string') print(answer['password']);
    for (const changed of (answer['accounts'] ?? []) as Json[]) print(lineOf(changed));
    return ExitCode.OK;
  },
};

function lineOf({ id, name, state, admin, owner }: Json): string {
  const parts = [id, name, state, ...(admin === true ? ['admin'] : [])];
  return [...parts, ...(typeof owner === 'string' ? [`bot of ${owner}`] : [])].join('  ');
}
