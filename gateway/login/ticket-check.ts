/** Checks that ipconf has sent a client here: the ticket that it signed for the user and for this gateway. */
import { JwtVerifier, TICKET_ALGORITHM, TICKET_AUDIENCE, TICKET_ISSUER } from '../../common/mod.ts';

const RULES = { issuer: TICKET_ISSUER, audience: TICKET_AUDIENCE, algorithm: TICKET_ALGORITHM };

export class TicketCheck {
  readonly #gateway: string;
  readonly #tickets = new JwtVerifier(RULES);

  /** @param gateway the name under which this gateway is registered */
  constructor(gateway: string) {
    this.#gateway = gateway;
  }

  /** Replaces the keys of the ipconf nodes. @throws when they are no JSON Web Key Set: the old keys stay */
  setKeys(jwks: string): void {
    this.#tickets.setKeys(jwks);
  }

  /** Returns the user that the ticket lets in here; undefined: nobody, and ipconf has to be asked for another one. */
  verify(ticket: string): string | undefined {
    const claims = this.#tickets.verify(ticket);
    if (typeof claims === 'string') return undefined;
    const { sub, gateways } = claims;
    const isMeant = typeof sub === 'string' && Array.isArray(gateways) && gateways.includes(this.#gateway);
    return isMeant ? sub : undefined;
  }
}
