/** The settings of an OpenID Connect provider. */
import type { OpenIdOptions } from '../api/mod.ts';
import { GochatError } from '../common/mod.ts';
import { isLoopback } from './run.ts';

interface OpenIdConfig {
  readonly openidIssuer?: string | undefined;
  readonly openidClientId?: string | undefined;
  readonly openidClientSecret?: string | undefined;
  readonly openidRedirectUrl?: string | undefined;
}

/** Returns the options of api; undefined: no provider. @throws GochatError CONFIG_INVALID */
export function openIdOptions(config: OpenIdConfig): OpenIdOptions | undefined {
  const issuer = config.openidIssuer;
  const {
    openidClientId: clientId,
    openidClientSecret: clientSecret,
    openidRedirectUrl: redirectUrl,
  } = config;
  if (issuer === undefined) return undefined;
  if (clientId === undefined || redirectUrl === undefined)
    throw invalid('openid_issuer needs openid_client_id and openid_redirect_url.');
  for (const url of [issuer, redirectUrl]) {
    if (!URL.canParse(url)) throw invalid(`${url} is not a URL.`);
    const { protocol, hostname } = new URL(url);
    if (protocol === 'http:' && !isLoopback(hostname.replace(/^\[(.*)\]$/, '$1')))
      throw invalid(`${url}: over plain HTTP others could log in as any user; use https://.`);
  }
  return { issuer, clientId, clientSecret, redirectUrl };
}

function invalid(what: string): GochatError {
  return new GochatError('CONFIG_INVALID', { details: { what } });
}
