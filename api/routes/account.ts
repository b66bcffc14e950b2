/** The account of the caller: password, sessions, closing, bots. */
/* oxlint-disable oxc/no-async-endpoint-handlers -- fastify awaits handlers; the rule is about Express 4. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { caller, withoutKey } from '../caller.ts';
import { toBot, toSession } from '../present.ts';
import { clearCookie } from '../refresh-cookie.ts';
import {
  BotParams,
  BotsAnswer,
  BotWithToken,
  CloseBody,
  NewBot,
  PasswordBody,
  SessionParams,
  SessionsAnswer,
} from '../schemas/accounts.ts';
import { Done } from '../schemas/basic.ts';
import type { State } from '../state.ts';
import { errors } from './responses.ts';

const DONE = { status: 'ok' } as const;
const tags = ['accounts'];

export function accountRoutes(state: State): FastifyPluginAsyncZod {
  return async (app) => {
    app.post(
      '/users/me/password',
      {
        schema: {
          summary: 'Change the password of the caller; all other sessions end',
          tags,
          body: PasswordBody,
          response: { 200: Done, ...errors('unauthenticated', 'account', 'body') },
        },
      },
      async (request) => {
        const { password, new_password: newPassword } = request.body;
        const call = { $case: 'changePassword', changePassword: { password, newPassword } } as const;
        await state.call(withoutKey(caller(request)), 0n, call, 'done');
        return DONE;
      },
    );

    app.delete(
      '/users/me',
      {
        schema: {
          summary: 'Close the account of the caller for good',
          description:
            'All sessions end at once. The user leaves all rooms, which pass on as with anybody who leaves, and bots are closed. ' +
            'The name stays taken. The messages stay, or are retracted everywhere.',
          tags,
          body: CloseBody,
          response: { 200: Done, ...errors('unauthenticated', 'account', 'body') },
        },
      },
      async (request, reply) => {
        const { password = '', retract = false } = request.body ?? {};
        const call = { $case: 'closeAccount', closeAccount: { password, retract } } as const;
        await state.call(withoutKey(caller(request)), 0n, call, 'done');
        clearCookie(request, reply);
        return DONE;
      },
    );

    app.get(
      '/sessions',
      {
        schema: {
          summary: 'List the sessions of the caller',
          tags,
          response: { 200: SessionsAnswer, ...errors('unauthenticated') },
        },
      },
      async (request) => {
        const call = { $case: 'listSessions', listSessions: {} } as const;
        const { sessions } = await state.call(caller(request), 0n, call, 'sessions');
        return { sessions: sessions.sessions.map(toSession) };
      },
    );

    app.delete(
      '/sessions/:id',
      {
        schema: {
          summary: 'End a session of the caller, with its connections',
          tags,
          params: SessionParams,
          response: { 200: Done, ...errors('unauthenticated', 'missing', 'body') },
        },
      },
      async (request) => {
        const endSession = { session: BigInt(request.params.id) };
        await state.call(caller(request), 0n, { $case: 'endSession', endSession }, 'done');
        return DONE;
      },
    );

    app.get(
      '/bots',
      {
        schema: {
          summary: 'List the bots of the caller',
          tags,
          response: { 200: BotsAnswer, ...errors('unauthenticated') },
        },
      },
      async (request) => {
        const { bots } = await state.call(caller(request), 0n, { $case: 'listBots', listBots: {} }, 'bots');
        return { bots: bots.bots.map(toBot) };
      },
    );

    app.post(
      '/bots',
      {
        schema: {
          summary: 'Make a bot, with its token',
          tags,
          body: NewBot,
          response: { 201: BotWithToken, ...errors('unauthenticated', 'account', 'conflict', 'body') },
        },
      },
      async (request, reply) => {
        const { name, display_name: displayName = '' } = request.body;
        const call = { $case: 'createBot', createBot: { name, displayName } } as const;
        const { bot } = await state.call(caller(request), 0n, call, 'bot');
        return reply.code(201).send({ ...toBot(bot), token: bot.token });
      },
    );

    app.post(
      '/bots/:bot/token',
      {
        schema: {
          summary: 'Make a new token for a bot of the caller; the one of before is void',
          tags,
          params: BotParams,
          response: { 200: BotWithToken, ...errors('unauthenticated', 'missing', 'body') },
        },
      },
      async (request) => {
        const call = { $case: 'renewBotToken', renewBotToken: { bot: request.params.bot } } as const;
        const { bot } = await state.call(caller(request), 0n, call, 'bot');
        return { ...toBot(bot), token: bot.token };
      },
    );

    app.delete(
      '/bots/:bot',
      {
        schema: {
          summary: 'Close a bot of the caller; its messages stay',
          tags,
          params: BotParams,
          response: { 200: Done, ...errors('unauthenticated', 'missing', 'body') },
        },
      },
      async (request) => {
        const closeBot = { bot: request.params.bot };
        await state.call(caller(request), 0n, { $case: 'closeBot', closeBot }, 'done');
        return DONE;
      },
    );
  };
}
