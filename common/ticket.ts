/** Constants of tickets, which ipconf signs and gateways verify. */

/** Lifetime: long enough to try every gateway of an answer with backoff, too short to be traded. s. */
export const TICKET_TTL_S = 60;
export const TICKET_ISSUER = 'gochat-ipconf';
export const TICKET_AUDIENCE = 'gochat-gateway';
/** Metadata key of an ipconf's registration; its value is the public key as a JWK. */
export const TICKET_KEY = 'ticket_key';
/** JWT algorithm, RFC 9864. */
export const TICKET_ALGORITHM = 'Ed25519';
