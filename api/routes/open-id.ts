/** Log-in by an OpenID Connect provider: the two addresses that a browser visits. */
/* oxlint-disable oxc/no-async-endpoint-handlers -- fastify awaits handlers; the rule is about Express 4. */
import type { FastifyPluginAsync } from 'fastify';
import type { TrustedProxies } from '../../common/mod.ts';
import type { OpenId } from '../open-id.ts';
import { refreshCookie } from '../refresh-cookie.ts';
import type { State } from '../state.ts';

const PATH = '/auth/openid';
const COOKIE = 'gochat-openid';
const VALUE = new RegExp(`(?:^|;\\s*)${COOKIE}=([\\w.-]+)(?:;|$)`);
/** How long a user may take at the provider, s. */
const MAX_AGE_S = 600;
/** Where the browser goes in the end: the page, which refreshes its access token by the cookie. */
const PAGE = '/';

export interface OpenIdRoutesOptions {
  readonly state: State;
  readonly openId: OpenId;
  readonly proxies: TrustedProxies;
}

export function openIdRoutes({ state, openId, proxies }: OpenIdRoutesOptions): FastifyPluginAsync {
  const secure = openId.redirectUrl.startsWith('https:');
  // Lax, not Strict: the provider's page sends the browser back.
  const cookie = (value: string, maxAgeS: number): string =>
    [
      `${COOKIE}=${value}`,
      `Path=${PATH}`,
      `Max-Age=${maxAgeS}`,
      'HttpOnly',
      'SameSite=Lax',
      ...(secure ? ['Secure'] : []),
    ].join('; ');
  return async (app) => {
    app.get(`${PATH}/login`, { schema: { hide: true } }, async (_request, reply) => {
      const { url, secrets } = await openId.begin();
      return reply.header('set-cookie', cookie(secrets, MAX_AGE_S)).redirect(url, 302);
    });

    app.get(`${PATH}/callback`, { schema: { hide: true } }, async (request, reply) => {
      const secrets = VALUE.exec(request.headers.cookie ?? '')?.[1];
      const query = request.raw.url?.split('?')[1] ?? '';
      const user = await openId.finish(query, secrets);
      const login = await state.accounts.loginOpenId({
        ...user,
        address: proxies.clientOf(request.raw),
        client: request.headers['user-agent'] ?? '',
      });
      const kept = refreshCookie(login.refreshToken, Number(login.refreshExpiresAtMs), secure);
      return reply.header('set-cookie', [cookie('', 0), kept]).redirect(PAGE, 302);
    });
  };
}
