/** Accounts: signing up, logging in, refreshing, logging out. */
/* oxlint-disable oxc/no-async-endpoint-handlers -- fastify awaits handlers; the rule is about Express 4. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { type Cors, GochatError, type TrustedProxies } from '../../common/mod.ts';
import type { state as wire } from '../../proto/mod.ts';
import { caller } from '../caller.ts';
import { clearCookie, cookieOf, isPage, setCookie } from '../refresh-cookie.ts';
import {
  Credentials,
  KeySet,
  LoginAnswer,
  LoginBody,
  LogoutBody,
  RefreshBody,
  SignupAnswer,
} from '../schemas/accounts.ts';
import { Done } from '../schemas/basic.ts';
import type { State } from '../state.ts';
import { errors } from './responses.ts';

/** Less than the time between the making of a key and its first token. */
const KEYS_MAX_AGE_S = 30;

export interface AuthOptions {
  readonly state: State;
  readonly proxies: TrustedProxies;
  readonly cors: Cors;
}

export function authRoutes({ state, proxies, cors }: AuthOptions): FastifyPluginAsyncZod {
  /** Returns the body; a page gets the refresh token as a cookie and not in it. */
  const answer = (request: FastifyRequest, reply: FastifyReply, login: wire.LoginResponse) => {
    const [expiresAtMs, refreshExpiresAtMs] = [login.expiresAtMs, login.refreshExpiresAtMs].map(Number) as [
      number,
      number,
    ];
    const { refreshToken: token } = login;
    const isCookie = isPage(request);
    if (isCookie && token !== '') setCookie(request, reply, cors, { token, expiresAtMs: refreshExpiresAtMs });
    return {
      token: login.token,
      expires_at: new Date(expiresAtMs).toISOString(),
      expires_at_ms: expiresAtMs,
      ...(token !== '' && !isCookie && { refresh_token: token }),
      refresh_expires_at: new Date(refreshExpiresAtMs).toISOString(),
      refresh_expires_at_ms: refreshExpiresAtMs,
      session: String(login.session),
      user: { id: String(login.user), name: login.name },
    };
  };

  return async (app) => {
    app.get(
      '/.well-known/jwks.json',
      {
        schema: {
          summary: 'Show the public keys of access tokens, a JSON Web Key Set (RFC 7517)',
          description:
            'A key is here before the first token that it has signed, and until the last one has expired.',
          tags: ['accounts'],
          security: [],
          response: { 200: KeySet, ...errors() },
        },
      },
      async (_request, reply) => {
        if (state.jwks === undefined) throw new GochatError('STATE_UNAVAILABLE');
        return reply
          .header('cache-control', `public, max-age=${KEYS_MAX_AGE_S}`)
          .send(JSON.parse(state.jwks));
      },
    );

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
          description:
            'It begins a session. A web page (a request with an Origin header) gets the refresh token as a cookie, which only ' +
            'pages of this server and of cors_origins get.',
          tags: ['accounts'],
          security: [],
          body: LoginBody,
          response: { 200: LoginAnswer, ...errors('unauthenticated', 'suspended', 'body') },
        },
      },
      async (request, reply) => {
        const { name, password, client = request.headers['user-agent'] ?? '' } = request.body;
        const address = proxies.clientOf(request.raw);
        return answer(request, reply, await state.accounts.login({ name, password, client, address }));
      },
    );

    app.post(
      '/auth/refresh',
      {
        schema: {
          summary: 'Get a new access token, and the next refresh token',
          description:
            'A refresh token is good once; for 30 seconds a repetition has the same answer. Later it ends the session with ' +
            'its connections, because one of the two who had it has stolen it.',
          tags: ['accounts'],
          security: [],
          body: RefreshBody,
          response: { 200: LoginAnswer, ...errors('unauthenticated', 'suspended', 'body') },
        },
      },
      async (request, reply) => {
        const refreshToken = request.body?.refresh_token ?? cookieOf(request, cors);
        if (refreshToken === undefined) throw new GochatError('REFRESH_INVALID');
        const login = await state.accounts.refresh({ refreshToken }, { idempotent: true });
        return answer(request, reply, login);
      },
    );

    app.post(
      '/auth/logout',
      {
        schema: {
          summary: 'End the session of the access token, else of the refresh token',
          description:
            'Its tokens are revoked and its connections are closed, on every gateway within a second.',
          tags: ['accounts'],
          body: LogoutBody,
          response: { 200: Done, ...errors('unauthenticated', 'suspended', 'body') },
        },
      },
      async (request, reply) => {
        const everywhere = request.body?.everywhere ?? false;
        const isBearer = request.headers.authorization !== undefined;
        const refreshToken = isBearer ? undefined : (request.body?.refresh_token ?? cookieOf(request, cors));
        if (refreshToken === undefined)
          await state.accounts.logout(
            { everywhere, refreshToken: '' },
            { metadata: caller(request).metadata },
          );
        else await state.accounts.logout({ everywhere, refreshToken });
        clearCookie(request, reply);
        return { status: 'ok' } as const;
      },
    );
  };
}
