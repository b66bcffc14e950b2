/** Verification of tickets, which ipconf signs for a user and gateways. */
import { JwtVerifier, TICKET_ALGORITHM, TICKET_AUDIENCE, TICKET_ISSUER } from '../../common/mod.ts';

const RULES = { issuer: TICKET_ISSUER, audience: TICKET_AUDIENCE, algorithm: TICKET_ALGORITHM };

export class TicketCheck {
  readonly #gateway: string;
  readonly #tickets = new JwtVerifier(RULES);

  /** @param gateway registered name of this gateway */
  constructor(gateway: string) {
    this.#gateway = gateway;
  }

  /** Replaces the keys of the ipconf nodes. @throws if they are not a JSON Web Key Set; the old keys stay */
  setKeys(jwks: string): void {
    this.#tickets.setKeys(jwks);
  }

  /** Returns the user of a valid ticket; undefined if it is invalid here. */
  verify(ticket: string): string | undefined {
    const claims = this.#tickets.verify(ticket);
    if (typeof claims === 'string') return undefined;
    const { sub, gateways } = claims;
    const isMeant = typeof sub === 'string' && Array.isArray(gateways) && gateways.includes(this.#gateway);
    return isMeant ? sub : undefined;
  }
}
