/** Checks that ipconf has sent a client here: the ticket that it signed for the user and for this gateway. */
import { createLocalJWKSet, type JSONWebKeySet, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { TICKET_ALGORITHM, TICKET_AUDIENCE, TICKET_ISSUER } from '../common/mod.ts';

export class TicketCheck {
  readonly #gateway: string;
  #keys: JWTVerifyGetKey = createLocalJWKSet({ keys: [] });

  /** @param gateway the name under which this gateway is registered */
  constructor(gateway: string) {
    this.#gateway = gateway;
  }

  /** Replaces the keys of the ipconf nodes. @throws when they are no JSON Web Key Set: the old keys stay */
  setKeys(jwks: string): void {
    this.#keys = createLocalJWKSet(JSON.parse(jwks) as JSONWebKeySet);
  }

  /** Returns the user that the ticket lets in here; undefined: nobody. Never rejects. */
  async verify(ticket: string): Promise<string | undefined> {
    // Strangers without any are sent away before anything costs CPU.
    if (ticket === '') return undefined;
    try {
      const { payload } = await jwtVerify(ticket, this.#keys, {
        issuer: TICKET_ISSUER,
        audience: TICKET_AUDIENCE,
        algorithms: [TICKET_ALGORITHM],
        requiredClaims: ['exp', 'sub'],
      });
      const gateways = payload['gateways'];
      return Array.isArray(gateways) && gateways.includes(this.#gateway) ? payload.sub : undefined;
    } catch {
      // Whatever is wrong with it, the answer is the same: ask ipconf for another one.
      return undefined;
    }
  }
}
