/** Verification of access tokens at the edge, with the public keys from the registry. */
import { JwtVerifier, parseId, type PlainErrorCode } from '../../common/mod.ts';
import { CLOCK_SKEW_MS } from '../limits.ts';
import type { TicketCheck } from './ticket-check.ts';

const RULES = {
  issuer: 'gochat',
  audience: 'gochat',
  algorithm: 'EdDSA',
  clockSkewS: CLOCK_SKEW_MS / 1000,
};
const MAX_NAME_LENGTH = 64;

/** The identity of a token. */
export interface Identity {
  readonly user: bigint;
  readonly userName: string;
  /** Id of the token; 0 if it has none. */
  readonly token: bigint;
  /** Unix time at which the token expires, ms; it is taken for CLOCK_SKEW_MS longer. */
  readonly expiresAtMs: number;
}

/** Verifies tokens; it has no keys until `setKeys`. */
export class Authenticator {
  readonly #tickets: TicketCheck | undefined;
  readonly #tokens = new JwtVerifier(RULES);
  #ready = false;

  /** @param tickets given: each client needs a ticket as well */
  constructor(tickets?: TicketCheck) {
    this.#tickets = tickets;
  }

  get ready(): boolean {
    return this.#ready;
  }

  /** Replaces the keys. @param jwks a JSON Web Key Set @throws if it is not one; the old keys stay */
  setKeys(jwks: string): void {
    this.#tokens.setKeys(jwks);
    this.#ready = true;
  }

  /** Returns the identity of the token, or the code that refuses it or the ticket. */
  verify(token: string, ticket = ''): Identity | PlainErrorCode {
    if (this.#tickets === undefined) return this.verifyToken(token);
    const uid = this.#tickets.verify(ticket);
    if (uid === undefined) return 'TICKET_INVALID';
    const identity = this.verifyToken(token);
    return typeof identity === 'string' || String(identity.user) === uid ? identity : 'TICKET_INVALID';
  }

  /** Returns the identity of the token, or the code that refuses it, whatever the ticket. */
  verifyToken(token: string): Identity | PlainErrorCode {
    if (!this.#ready) return 'STATE_UNAVAILABLE';
    const claims = this.#tokens.verify(token);
    if (typeof claims === 'string') return claims;
    const { sub, name, jti, exp } = claims;
    if (typeof name !== 'string' || name === '' || name.length > MAX_NAME_LENGTH) return 'TOKEN_INVALID';
    const user = parseId(sub);
    if (user === undefined) return 'TOKEN_INVALID';
    return { user, userName: name, token: parseId(jti) ?? 0n, expiresAtMs: Math.floor(exp) * 1000 };
  }
}
