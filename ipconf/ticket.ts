/**
 * Tickets: signed permission for one user to connect to the listed gateways, so that attackers cannot choose their
 * target.
 */
import { exportJWK, generateKeyPair, type CryptoKey, type JWK, SignJWT } from 'jose';
import { TICKET_ALGORITHM, TICKET_AUDIENCE, TICKET_ISSUER, TICKET_TTL_S } from '../common/mod.ts';

/**
 * Signs tickets with its own key, made at start, so no secret is shared. The public half is in the registry as long as
 * this ipconf is, so gateways accept tickets of live ipconf nodes only.
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

  /** @param kid key id in each ticket: the ipconf's id in the registry */
  static async create(kid: string): Promise<TicketIssuer> {
    const { privateKey, publicKey } = await generateKeyPair(TICKET_ALGORITHM);
    return new TicketIssuer(kid, privateKey, { ...(await exportJWK(publicKey)), kid, alg: TICKET_ALGORITHM });
  }

  /** Returns a JWT: `sub` is the user, `gateways` the names of the gateways that may accept it. */
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
