/** What the workers of a gateway share for TLS. */
import { randomBytes } from 'node:crypto';
import type { CertificatePair } from '../../common/mod.ts';

const TICKET_KEY_BYTES = 48;

/** TLS keys, the same in all workers, so that a TLS session can be resumed at any of them. */
export interface TlsMaterial extends CertificatePair {
  /** 48 random bytes that encrypt TLS session tickets. */
  readonly ticketKeys: Uint8Array;
}

/** Makes the material of a certificate, with new ticket keys. */
export function tlsMaterial(pair: CertificatePair): TlsMaterial {
  return { ...pair, ticketKeys: randomBytes(TICKET_KEY_BYTES) };
}
