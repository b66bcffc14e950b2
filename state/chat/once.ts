/** Keys that tie a caller's requests to what they ask for: one key is one request (Idempotency-Key). */
import { GochatError, type UserId } from '../../common/mod.ts';
import type { state } from '../../proto/mod.ts';
import type { HotState } from '../hot/hot-state.ts';

/** How long a key is tied, ms. */
const TIE_MS = 24 * 3_600_000;
const MAX_KEY_BYTES = 256;
const MAX_HASH_BYTES = 64;

export type OnceHotState = Pick<HotState, 'tie' | 'untie'>;

/**
 * Does `work` unless the key is tied to another request of the user. Calls and sends are safe to repeat, so the same
 * request is done again, and is answered as before. A request that is refused leaves its key free.
 *
 * @param once undefined: the caller has given no key
 * @throws GochatError IDEMPOTENCY_KEY_REUSED, HOT_UNAVAILABLE, or as `work`
 */
export async function once<T>(
  hot: OnceHotState,
  user: UserId,
  once: state.Once | undefined,
  work: () => Promise<T>,
): Promise<T> {
  if (once === undefined) return work();
  const { key, request } = once;
  if (Buffer.byteLength(key) > MAX_KEY_BYTES || request.length > MAX_HASH_BYTES)
    throw new GochatError('ARGUMENT_INVALID', { details: { what: 'Idempotency-Key' } });
  const tie = `once:${user}:${key}`;
  if ((await hot.tie(tie, request, TIE_MS)) !== request) throw new GochatError('IDEMPOTENCY_KEY_REUSED');
  try {
    return await work();
  } catch (error) {
    // What may have been done is not given up: a repetition finds it.
    if (GochatError.known(error)?.retryable === false) await hot.untie(tie, request);
    throw error;
  }
}
