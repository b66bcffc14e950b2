/** The operator routes of accounts: `gochat ctl accounts` and `account`. */
import { GochatError, json, type OperatorRoutes } from '../../common/mod.ts';
import { client } from '../../proto/mod.ts';
import type { ServerAdmin } from '../identity/server-admin.ts';

const { AccountChange } = client;
/** Changes by the name of their flag. */
const CHANGES: ReadonlyMap<string, client.AccountChange> = new Map([
  ['suspend', AccountChange.ACCOUNT_CHANGE_SUSPEND],
  ['restore', AccountChange.ACCOUNT_CHANGE_RESTORE],
  ['grant-admin', AccountChange.ACCOUNT_CHANGE_GRANT_ADMIN],
  ['revoke-admin', AccountChange.ACCOUNT_CHANGE_REVOKE_ADMIN],
]);
const STATES: readonly string[] = ['unknown', 'active', 'suspended', 'closed'];

export function accountRoutes(
  admin: Pick<ServerAdmin, 'list' | 'change' | 'resetPassword' | 'endSessions'>,
): OperatorRoutes {
  return {
    'GET /accounts': async (_request, response, { searchParams }) => {
      const { accounts, next } = await admin.list({ after: searchParams.get('after') ?? '', limit: 0 });
      json(response, 200, { accounts: accounts.map(present), next: next === '' ? null : next });
    },
    'POST /account': async (_request, response, { searchParams }) => {
      const user = searchParams.get('user') ?? '';
      const what = searchParams.get('change') ?? '';
      if (what === 'reset-password') return json(response, 200, await admin.resetPassword(user));
      if (what === 'end-sessions') {
        await admin.endSessions(user);
        return json(response, 200, { status: 'ok' });
      }
      const change = CHANGES.get(what);
      if (change === undefined)
        throw new GochatError('ARGUMENT_INVALID', { details: { what: 'The parameter change' } });
      const { accounts } = await admin.change({ user, change });
      json(response, 200, { accounts: accounts.map(present) });
    },
  };
}

function present({ id, name, displayName, state, admin, owner }: client.Account) {
  return {
    id: String(id),
    name,
    display_name: displayName,
    state: STATES[state] ?? 'unknown',
    admin,
    owner: owner === 0n ? null : String(owner),
  };
}
