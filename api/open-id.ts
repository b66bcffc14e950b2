/** The client of an OpenID Connect provider: authorization code flow with PKCE, state and nonce. */
import {
  allowInsecureRequests,
  authorizationCodeGrant,
  buildAuthorizationUrl,
  calculatePKCECodeChallenge,
  type Configuration,
  discovery,
  randomNonce,
  randomPKCECodeVerifier,
  randomState,
} from 'openid-client';
import { GochatError } from '../common/mod.ts';

const SCOPE = 'openid profile';
/** Deadline of a call to the provider, s. */
const TIMEOUT_S = 10;
/** Of the secrets of a log-in, as the browser keeps them. */
const SECRETS = /^[\w-]{20,128}$/;

export interface OpenIdOptions {
  /** URL of the provider; http:// only on loopback. */
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string | undefined;
  /** URL of /auth/openid/callback, as browsers reach it and the provider knows it. */
  readonly redirectUrl: string;
}

/** A user whom the provider has named. */
export interface OpenIdUser {
  readonly issuer: string;
  readonly subject: string;
  /** What the user is called there; may be empty. */
  readonly name: string;
}

export class OpenId {
  readonly #options: OpenIdOptions;
  #found: Promise<Configuration> | undefined;

  constructor(options: OpenIdOptions) {
    this.#options = options;
  }

  get redirectUrl(): string {
    return this.#options.redirectUrl;
  }

  /** Returns where to send the browser, and what it has to bring back in a cookie. @throws GochatError OPENID_UNREACHABLE */
  async begin(): Promise<{ readonly url: string; readonly secrets: string }> {
    const [state, nonce, verifier] = [randomState(), randomNonce(), randomPKCECodeVerifier()];
    const url = buildAuthorizationUrl(await this.#provider(), {
      redirect_uri: this.#options.redirectUrl,
      scope: SCOPE,
      state,
      nonce,
      code_challenge: await calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    });
    return { url: url.href, secrets: [state, nonce, verifier].join('.') };
  }

  /**
   * Exchanges the code that the browser has brought. The ID token is verified: issuer, audience, signature, times, nonce.
   *
   * @param query of the callback's URL @throws GochatError OPENID_FAILED, OPENID_UNREACHABLE
   */
  async finish(query: string, secrets: string | undefined): Promise<OpenIdUser> {
    const [state, nonce, verifier, ...more] = (secrets ?? '').split('.');
    const parts = [state, nonce, verifier].map((part = '') => SECRETS.test(part));
    if (more.length > 0 || parts.includes(false))
      throw failed('the browser has not begun it, or began it more than ten minutes ago');
    const provider = await this.#provider();
    const url = new URL(this.#options.redirectUrl);
    url.search = query;
    try {
      const tokens = await authorizationCodeGrant(provider, url, {
        pkceCodeVerifier: verifier as string,
        expectedState: state as string,
        expectedNonce: nonce as string,
        idTokenExpected: true,
      });
      const claims = tokens.claims();
      if (claims === undefined) throw failed('it has sent no ID token');
      const { iss: issuer, sub: subject, preferred_username: username, email } = claims;
      const name = [username, email].find((each) => typeof each === 'string');
      return { issuer, subject, name: typeof name === 'string' ? name : '' };
    } catch (cause) {
      // The message may quote tokens; the cause is logged nowhere.
      throw GochatError.known(cause) ?? failed('its answer is not valid', cause);
    }
  }

  /** Reads the provider's metadata, once it can be reached. */
  #provider(): Promise<Configuration> {
    this.#found ??= this.#discover().catch((cause: unknown) => {
      this.#found = undefined;
      throw new GochatError('OPENID_UNREACHABLE', { cause });
    });
    return this.#found;
  }

  #discover(): Promise<Configuration> {
    const { issuer, clientId, clientSecret } = this.#options;
    const isPlain = issuer.startsWith('http:');
    return discovery(new URL(issuer), clientId, clientSecret, undefined, {
      timeout: TIMEOUT_S,
      ...(isPlain && { execute: [allowInsecureRequests] }),
    });
  }
}

function failed(why: string, cause?: unknown): GochatError {
  return new GochatError('OPENID_FAILED', { details: { why }, cause });
}
