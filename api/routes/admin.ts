/** Accounts, for admins of the server. */
/* oxlint-disable oxc/no-async-endpoint-handlers -- fastify awaits handlers; the rule is about Express 4. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { GochatError } from '../../common/mod.ts';
import { client } from '../../proto/mod.ts';
import { type Caller, caller, withoutKey } from '../caller.ts';
import { nextPage, placeOf } from '../cursor.ts';
import { toAccount } from '../present.ts';
import {
  Account,
  AccountChanges,
  AccountParams,
  AccountsAnswer,
  AccountsQuery,
  NewPassword,
} from '../schemas/accounts.ts';
import { Done } from '../schemas/basic.ts';
import type { State } from '../state.ts';
import { errors } from './responses.ts';

const tags = ['admin'];
const { AccountChange } = client;

export function adminRoutes(state: State): FastifyPluginAsyncZod {
  const change = async (by: Caller, user: string, what: client.AccountChange) => {
    const call = { $case: 'changeAccount', changeAccount: { user, change: what } } as const;
    const { accounts } = await state.call(by, 0n, call, 'accounts');
    return accounts.accounts[0];
  };
  return async (app) => {
    app.get(
      '/admin/accounts',
      {
        schema: {
          summary: 'List all accounts',
          tags,
          querystring: AccountsQuery,
          response: { 200: AccountsAnswer, ...errors('unauthenticated', 'admin') },
        },
      },
      async (request, reply) => {
        const listAccounts = {
          after: placeOf(request, request.query.after),
          limit: request.query.limit,
        };
        const call = { $case: 'listAccounts', listAccounts } as const;
        const { accounts: page } = await state.call(caller(request), 0n, call, 'accounts');
        return { accounts: page.accounts.map(toAccount), next: nextPage(request, reply, page.next) };
      },
    );

    app.patch(
      '/admin/accounts/:user',
      {
        schema: {
          summary: 'Suspend or restore an account; make its user an admin of the server, or not',
          tags,
          params: AccountParams,
          body: AccountChanges,
          response: { 200: Account, ...errors('unauthenticated', 'admin', 'missing', 'body') },
        },
      },
      async (request) => {
        const { state: wanted, admin } = request.body;
        const changes = [
          ...(wanted === 'suspended' ? [AccountChange.ACCOUNT_CHANGE_SUSPEND] : []),
          ...(wanted === 'active' ? [AccountChange.ACCOUNT_CHANGE_RESTORE] : []),
          ...(admin === true ? [AccountChange.ACCOUNT_CHANGE_GRANT_ADMIN] : []),
          ...(admin === false ? [AccountChange.ACCOUNT_CHANGE_REVOKE_ADMIN] : []),
        ];
        let account: client.Account | undefined;
        for (const each of changes) account = await change(caller(request), request.params.user, each);
        if (account === undefined)
          throw new GochatError('ARGUMENT_INVALID', { details: { what: 'A body without state and admin' } });
        return toAccount(account);
      },
    );

    app.post(
      '/admin/accounts/:user/password',
      {
        schema: {
          summary: 'Give a user a new password; the sessions of the user end',
          tags,
          params: AccountParams,
          response: { 200: NewPassword, ...errors('unauthenticated', 'admin', 'missing', 'body') },
        },
      },
      async (request) => {
        const resetPassword = { user: request.params.user };
        const call = { $case: 'resetPassword', resetPassword } as const;
        const { password } = await state.call(withoutKey(caller(request)), 0n, call, 'password');
        return { password: password.password };
      },
    );

    app.delete(
      '/admin/accounts/:user/sessions',
      {
        schema: {
          summary: 'End all sessions of a user, with their connections',
          tags,
          params: AccountParams,
          response: { 200: Done, ...errors('unauthenticated', 'admin', 'missing', 'body') },
        },
      },
      async (request) => {
        const endSessions = { user: request.params.user };
        await state.call(caller(request), 0n, { $case: 'endSessions', endSessions }, 'done');
        return { status: 'ok' } as const;
      },
    );
  };
}
