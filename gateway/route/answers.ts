/** The frames that the gateway itself sends. */
import { CATALOGUE, type CodeWithDetails, describe, type ErrorCode } from '../../common/mod.ts';
import { client, encodeFrame, type FrameHeader, FrameType } from '../../proto/mod.ts';

/** Bounds of the random retry hints for clients, ms. */
const RETRY_AFTER_MS: Partial<Record<ErrorCode, readonly [number, number]>> = {
  STATE_UNAVAILABLE: [500, 2_000],
  OVERLOADED: [200, 1_000],
  TOO_MANY_CONNECTIONS: [1_000, 5_000],
  SERVER_DRAINING: [100, 1_000],
  SLOW_CONSUMER: [500, 2_000],
  WORKER_FAILED: [1, 1_000],
  ADDRESS_LIMITED: [1_000, 10_000],
  RATE_LIMITED: [1_000, 5_000],
};

/** Returns the retry hint of a code, ms; 0 for none. */
export function retryAfter(code: ErrorCode): number {
  const [least, most] = RETRY_AFTER_MS[code] ?? [0, 0];
  return Math.round(least + Math.random() * (most - least));
}

/** @param redirect the gateway that the client should try first */
export function closeFrame(
  said: CodeWithDetails,
  retryAfterMs = retryAfter(said.code),
  redirect?: client.Endpoint,
): Uint8Array {
  const { code } = said;
  const { retryable } = CATALOGUE[code];
  const close = {
    code,
    reason: describe(said),
    retryable,
    retryAfterMs: retryable ? retryAfterMs : 0,
    elsewhere: redirect,
  };
  return encodeFrame(FrameType.CLOSE, 0, 0n, client.Close.encode(close).finish());
}

/** @param refused header of the refused frame */
export function nackFrame(
  said: CodeWithDetails,
  refused: Pick<FrameHeader, 'ref' | 'key'>,
  clientMsgId = '',
  waitMs = retryAfter(said.code),
): Uint8Array {
  const { code } = said;
  const { retryable } = CATALOGUE[code];
  const message = describe(said);
  const retryAfterMs = retryable ? waitMs : 0;
  const nack = { code, message, retryable, retryAfterMs, clientMsgId };
  return encodeFrame(FrameType.NACK, refused.ref, refused.key, client.Nack.encode(nack).finish());
}
