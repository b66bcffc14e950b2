/** Tickets: signed leave for one user to enter the gateways it was told, so that strangers cannot pick a victim. */
import { exportJWK, generateKeyPair, type CryptoKey, type JWK, SignJWT } from 'jose';
import { TICKET_ALGORITHM, TICKET_AUDIENCE, TICKET_ISSUER, TICKET_TTL_S } from '../common/mod.ts';

/**
 * Signs tickets with a key of its own, made when it starts: nothing secret is shared. The public half is in the
 * registry for as long as this ipconf is, so a gateway accepts tickets of the ipconf nodes that live.
 */
export class TicketIssuer {
  readonly #privateKey: CryptoKey;
  readonly #kid: string;
  readonly publicKey: JWK;

  private constructor(kid: string, privateKey: CryptoKey, publicKey: JWK) {
    this.#kid = kid;
    this.#privateKey = privateKey;
    this.publicKey = publicKey;
  }

  /** @param kid names the key in each ticket: the ipconf's id in the registry */
  static async create(kid: string): Promise<TicketIssuer> {
    const { privateKey, publicKey } = await generateKeyPair(TICKET_ALGORITHM);
    return new TicketIssuer(kid, privateKey, { ...(await exportJWK(publicKey)), kid, alg: TICKET_ALGORITHM });
  }

  /** Returns a JWT: sub is the user, gateways the names of those that may let it in. */
  sign(uid: string, gateways: readonly string[], now: number = Date.now()): Promise<string> {
    const second = Math.floor(now / 1000);
    return new SignJWT({ gateways })
      .setProtectedHeader({ alg: TICKET_ALGORITHM, kid: this.#kid })
      .setIssuer(TICKET_ISSUER)
      .setAudience(TICKET_AUDIENCE)
      .setSubject(uid)
      .setIssuedAt(second)
      .setExpirationTime(second + TICKET_TTL_S)
      .sign(this.#privateKey);
  }
}
