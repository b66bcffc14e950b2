/** The limits of a state node: the bounds of everything it keeps, and the consequence of exceeding each. */

import { DEFAULT_MAX_TEXT_BYTES } from '../proto/mod.ts';

/** Lifetime of access tokens, ms. */
export const DEFAULT_TOKEN_TTL_MS = 900_000;

/** Largest clock skew between servers, ms. */
export const CLOCK_SKEW_MS = 5_000;

/** A token bucket in HotState. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

export interface StateLimits {
  /** Longest text, bytes of UTF-8; beyond: TEXT_TOO_LONG. @default 16384 */
  readonly textBytes: number;
  /** Queued sends, half of them beyond their users' turns; beyond: OVERLOADED. @default 20000 */
  readonly queueRows: number;
  /** @default 64 MiB */
  readonly queueBytes: number;
  /** Longest wait of a send for its commit; beyond: OVERLOADED (its client has repeated it by then). @default 10000 */
  readonly queueMs: number;
  /** Rows of one commit; beyond: the next one. @default 2000 */
  readonly batchRows: number;
  /** @default 4 MiB */
  readonly batchBytes: number;
  /** Rows of one user's turn in a commit; beyond: the next one. @default 64 */
  readonly turnRows: number;
  /** @default 128 KiB */
  readonly turnBytes: number;
  /** Bytes queued to one worker; beyond: pushes are skipped and repaired by a resync. @default 8 MiB */
  readonly pushBytes: number;
  /** Conversations whose members are kept, 0.4 KiB each for two; beyond: those not used lately go. @default 200000 */
  readonly cachedConversations: number;
  /** Members in all cached lists. @default 4000000 */
  readonly cachedMembers: number;
  /** Cached profiles of users, 0.2 KiB each; beyond: the least recently used go. @default 200000 */
  readonly cachedProfiles: number;
  /** Age of a member list, unconfirmed by a message, at which it is reloaded for TYPING, ms. @default 5000 */
  readonly ephemeralMembersMs: number;
  /** Pushes that wait for a member list; beyond: dropped and repaired by a resync. @default 20000 */
  readonly waitingPushes: number;
  /** Conversations whose members could not be loaded; beyond: all connections resync. @default 10000 */
  readonly failedLoads: number;
  /** Session claims in flight; beyond: OVERLOADED. @default 10000 */
  readonly logins: number;
  /** Requests in flight for one connection; beyond: OVERLOADED. @default 32 */
  readonly requestsPerConnection: number;
  /** Requests in flight in all, most of them queued; beyond: OVERLOADED. @default 20000 */
  readonly requests: number;
  /** Bytes of these; beyond: OVERLOADED. @default 32 MiB */
  readonly requestBytes: number;
  /** Requests in flight of one user; beyond: RATE_LIMITED. @default 128 */
  readonly requestsPerUser: number;
  /** Bytes of these; beyond: RATE_LIMITED. @default 1 MiB */
  readonly requestBytesPerUser: number;
  /** Queued cursor moves; beyond: dropped, a later receipt makes up for it. @default 50000 */
  readonly cursorMoves: number;
  /** Queued cursor moves of one user; beyond: its RECEIPTS are dropped. @default 5000 */
  readonly cursorMovesPerUser: number;
  /** Grace period: a device whose connection broke can resume and counts as online, ms. @default 30000 */
  readonly sessionGraceMs: number;
  /** Concurrent password hashes, 19 MiB each. @default 2 */
  readonly hashing: number;
  /** Passwords that wait to be hashed, of users who have logged in from their address before and of others each; beyond: OVERLOADED. @default 256 */
  readonly hashQueue: number;
  /** Wrong passwords for one name from one address; beyond: RATE_LIMITED. @default 6 a minute, burst 10 */
  readonly guessesPerNameAndAddress: Rate;
  /** Wrong passwords from one address, for names that have not logged in from it. @default 1 a second, burst 100 */
  readonly guessesPerAddress: Rate;
  /** Wrong passwords for one name from addresses that it has not logged in from. @default 1 a second, burst 100 */
  readonly guessesPerName: Rate;
  /** Sign-ups from one address. @default 10 a second, burst 200 */
  readonly signupPerAddress: Rate;
}

export const DEFAULT_LIMITS: StateLimits = Object.freeze({
  textBytes: DEFAULT_MAX_TEXT_BYTES,
  queueRows: 20_000,
  queueBytes: 64 * 1024 * 1024,
  queueMs: 10_000,
  batchRows: 2000,
  batchBytes: 4 * 1024 * 1024,
  turnRows: 64,
  turnBytes: 128 * 1024,
  pushBytes: 8 * 1024 * 1024,
  cachedConversations: 200_000,
  cachedMembers: 4_000_000,
  cachedProfiles: 200_000,
  ephemeralMembersMs: 5_000,
  waitingPushes: 20_000,
  failedLoads: 10_000,
  logins: 10_000,
  requestsPerConnection: 32,
  requests: 20_000,
  requestBytes: 32 * 1024 * 1024,
  requestsPerUser: 128,
  requestBytesPerUser: 1024 * 1024,
  cursorMoves: 50_000,
  cursorMovesPerUser: 5000,
  sessionGraceMs: 30_000,
  hashing: 2,
  hashQueue: 256,
  guessesPerNameAndAddress: { perSecond: 0.1, burst: 10 },
  guessesPerAddress: { perSecond: 1, burst: 100 },
  guessesPerName: { perSecond: 1, burst: 100 },
  signupPerAddress: { perSecond: 10, burst: 200 },
});
