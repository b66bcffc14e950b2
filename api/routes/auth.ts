/** Accounts: signing up and logging in. */
/* oxlint-disable oxc/no-async-endpoint-handlers -- fastify awaits handlers; the rule is about Express 4. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import type { TrustedProxies } from '../../common/mod.ts';
import { caller } from '../caller.ts';
import { Credentials, LoginAnswer, LogoutBody, SignupAnswer } from '../schemas/accounts.ts';
import { Done } from '../schemas/basic.ts';
import type { State } from '../state.ts';
import { errors } from './responses.ts';

export function authRoutes(state: State, proxies: TrustedProxies): FastifyPluginAsyncZod {
  return async (app) => {
    app.post(
      '/auth/signup',
      {
        schema: {
          summary: 'Make an account',
          tags: ['accounts'],
          security: [],
          body: Credentials,
          response: { 201: SignupAnswer, ...errors('conflict', 'body') },
        },
      },
      async (request, reply) => {
        const made = await state.accounts.signup({ ...request.body, address: proxies.clientOf(request.raw) });
        return reply.code(201).send({ user: { id: String(made.user), name: made.name } });
      },
    );

    app.post(
      '/auth/login',
      {
        schema: {
          summary: 'Log in',
          tags: ['accounts'],
          security: [],
          body: Credentials,
          response: { 200: LoginAnswer, ...errors('unauthenticated', 'body') },
        },
      },
      async (request) => {
        const login = await state.accounts.login({ ...request.body, address: proxies.clientOf(request.raw) });
        const expiresAtMs = Number(login.expiresAtMs);
        return {
          token: login.token,
          expires_at: new Date(expiresAtMs).toISOString(),
          expires_at_ms: expiresAtMs,
          user: { id: String(login.user), name: login.name },
        };
      },
    );

    app.post(
      '/auth/logout',
      {
        schema: {
          summary: 'End the session of the access token',
          description:
            'The token is revoked and its connections are closed, on every gateway within a second.',
          tags: ['accounts'],
          body: LogoutBody,
          response: { 200: Done, ...errors('unauthenticated', 'body') },
        },
      },
      async (request) => {
        const everywhere = request.body?.everywhere ?? false;
        await state.accounts.logout({ everywhere }, { metadata: caller(request) });
        return { status: 'ok' } as const;
      },
    );
  };
}
