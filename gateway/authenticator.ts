/** Checks access tokens at the edge, with the public keys that the registry publishes. */
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey, jwtVerify } from 'jose';
import type { PlainErrorCode } from '../common/mod.ts';
import type { TicketCheck } from './ticket-check.ts';

const ISSUER = 'gochat';
const AUDIENCE = 'gochat';
const MAX_USER = 0xffff_ffff_ffff_ffffn;
/** Clocks of the servers may differ by this much. */
const CLOCK_SKEW_S = 5;
const MAX_NAME_LENGTH = 64;
const TOKEN_ID = /^[1-9]\d{0,18}$/;

/** Who a token speaks for. */
export interface Identity {
  readonly user: bigint;
  readonly userName: string;
  /** Id of the token; 0: it has none. */
  readonly token: bigint;
}

/** Verifies tokens; it has no keys until `setKeys`. */
export class Authenticator {
  readonly #tickets: TicketCheck | undefined;
  #keys: JWTVerifyGetKey | undefined;

  /** @param tickets requires of each client a ticket as well */
  constructor(tickets?: TicketCheck) {
    this.#tickets = tickets;
  }

  get ready(): boolean {
    return this.#keys !== undefined;
  }

  /** Replaces the keys. @param jwks a JSON Web Key Set as text. @throws when it is none: the old keys stay */
  setKeys(jwks: string): void {
    this.#keys = createLocalJWKSet(JSON.parse(jwks) as JSONWebKeySet);
  }

  /** Returns whom the token speaks for, or the code that refuses it or the ticket; never rejects. */
  async verify(token: string, ticket = ''): Promise<Identity | PlainErrorCode> {
    if (this.#tickets === undefined) return this.#verifyToken(token);
    const uid = await this.#tickets.verify(ticket);
    if (uid === undefined) return 'TICKET_INVALID';
    const identity = await this.#verifyToken(token);
    return typeof identity === 'string' || String(identity.user) === uid ? identity : 'TICKET_INVALID';
  }

  async #verifyToken(token: string): Promise<Identity | PlainErrorCode> {
    if (this.#keys === undefined) return 'STATE_UNAVAILABLE';
    try {
      const { payload } = await jwtVerify(token, this.#keys, {
        issuer: ISSUER,
        audience: AUDIENCE,
        algorithms: ['EdDSA'],
        requiredClaims: ['exp', 'sub'],
        clockTolerance: CLOCK_SKEW_S,
      });
      const name = payload['name'];
      if (typeof name !== 'string' || name === '' || name.length > MAX_NAME_LENGTH) return 'TOKEN_INVALID';
      if (!/^[1-9]\d{0,19}$/.test(payload.sub ?? '')) return 'TOKEN_INVALID';
      const user = BigInt(payload.sub as string);
      if (user > MAX_USER) return 'TOKEN_INVALID';
      const { jti = '' } = payload;
      return { user, userName: name, token: TOKEN_ID.test(jti) ? BigInt(jti) : 0n };
    } catch (error) {
      return error instanceof errors.JWTExpired ? 'TOKEN_EXPIRED' : 'TOKEN_INVALID';
    }
  }
}
