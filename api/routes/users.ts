/** Profiles of users. */
/* oxlint-disable oxc/no-async-endpoint-handlers -- fastify awaits handlers; the rule is about Express 4. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { GochatError } from '../../common/mod.ts';
import { type Caller, caller } from '../caller.ts';
import { checkMatch, isConditional, tag } from '../preconditions.ts';
import { toPresence, toUser } from '../present.ts';
import { NotModified } from '../schemas/basic.ts';
import { IfMatchHeaders } from '../schemas/self.ts';
import { PresenceAnswer, Profile, User, UsersAnswer, UsersQuery } from '../schemas/accounts.ts';
import type { Call, State } from '../state.ts';
import { errors } from './responses.ts';

const tags = ['users'];

export function userRoutes(state: State): FastifyPluginAsyncZod {
  const ask = async (by: Caller, call: Call) => {
    const { users } = await state.call(by, 0n, call, 'users');
    return users.users.map(toUser);
  };
  /** Makes a call whose answer is the caller's own profile. */
  const askOwn = async (by: Caller, call: Call) => {
    const [user] = await ask(by, call);
    if (user === undefined)
      throw new GochatError('INTERNAL', {
        cause: new Error(`state has answered ${call.$case} without a user`),
      });
    return user;
  };
  const showOwn = (by: Caller) => {
    const reading = { ...by, once: undefined };
    return askOwn(reading, { $case: 'getUsers', getUsers: { users: [] } });
  };
  return async (app) => {
    app.get(
      '/users',
      {
        schema: {
          summary: 'Look up users by id',
          tags,
          querystring: UsersQuery,
          response: { 200: UsersAnswer, ...errors('unauthenticated') },
        },
      },
      async (request) => {
        const getUsers = { users: request.query.ids.map(BigInt) };
        return { users: await ask(caller(request), { $case: 'getUsers', getUsers }) };
      },
    );

    app.get(
      '/users/presence',
      {
        schema: {
          summary: 'Show how users are who are in a conversation with the caller',
          tags,
          querystring: UsersQuery,
          response: { 200: PresenceAnswer, ...errors('unauthenticated', 'missing') },
        },
      },
      async (request) => {
        const getPresence = { users: request.query.ids.map(BigInt) };
        const call = { $case: 'getPresence', getPresence } as const;
        const { presences } = await state.call(caller(request), 0n, call, 'presences');
        return { users: presences.users.map(toPresence) };
      },
    );

    app.get(
      '/users/me',
      {
        schema: {
          summary: 'Show the caller',
          tags,
          response: { 200: User, 304: NotModified, ...errors('unauthenticated') },
        },
      },
      async (request, reply) => {
        const user = await showOwn(caller(request));
        return tag(request, reply, user) ? reply.code(304).send() : user;
      },
    );

    app.patch(
      '/users/me',
      {
        schema: {
          summary: 'Change the profile of the caller',
          tags,
          body: Profile,
          headers: IfMatchHeaders,
          response: { 200: User, ...errors('unauthenticated', 'changed', 'body') },
        },
      },
      async (request, reply) => {
        const by = caller(request);
        let ifDisplayName = '';
        if (isConditional(request)) {
          const before = await showOwn(by);
          checkMatch(request, before);
          // State compares once more, in the statement that changes it.
          ifDisplayName = before.display_name;
        }
        const setProfile = { displayName: request.body.display_name ?? '', ifDisplayName };
        const user = await askOwn(by, { $case: 'setProfile', setProfile });
        tag(request, reply, user);
        return user;
      },
    );
  };
}
