/** What ipconf, which signs tickets, and gateways, which check them, agree on. */

/** Long enough to try every gateway of an answer with backoff, short enough to be of no use to trade. s. */
export const TICKET_TTL_S = 60;
export const TICKET_ISSUER = 'gochat-ipconf';
export const TICKET_AUDIENCE = 'gochat-gateway';
/** Metadata of an ipconf's registration that holds its public key, as a JWK. */
export const TICKET_KEY = 'ticket_key';
/** A JWT algorithm, RFC 9864. */
export const TICKET_ALGORITHM = 'Ed25519';
