/** Validation of the arguments of calls. */
import { type ConversationId, GochatError, isId } from '../../common/mod.ts';
import { quoted } from '../identity/names.ts';
import type { Refusal } from '../policy.ts';
import { parsePageKey } from '../store/page-key.ts';

/** Returns the result unless it is a refusal. @throws GochatError the refusal of an action in this conversation */
export function accept<T extends object>(
  result: T | Refusal | 'LAST_OWNER',
  conversation: bigint | string,
): T {
  if (typeof result !== 'string') return result;
  throw refused(result, conversation);
}

export function refused(code: Refusal | 'LAST_OWNER', conversation: bigint | string): GochatError {
  if (code === 'ROOM_NOT_FOUND')
    return new GochatError(code, { details: { name: quoted(String(conversation)) } });
  return code === 'ARGUMENT_INVALID' ? invalid('This call on a direct conversation') : new GochatError(code);
}

/** Returns an id that fits the store. */
export function conversationId(value: bigint): ConversationId | undefined {
  return isId(value) ? (value as ConversationId) : undefined;
}

/** Returns a seq, a time or a number of either. @throws GochatError ARGUMENT_INVALID */
export function wholeNumber(value: bigint, what: string): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw invalid(what);
  return Number(value);
}

/** Returns the number of items of a page. @throws GochatError ARGUMENT_INVALID */
export function pageLimit(
  limit: number,
  { most, standard }: { readonly most: number; readonly standard: number },
): number {
  if (limit > most) throw invalid('limit');
  return limit === 0 ? standard : limit;
}

/** Returns where a page begins. @param parts numbers of which the list's keys consist @throws GochatError ARGUMENT_INVALID */
export function pageStart(after: string, parts: number): string {
  if (after !== '' && parsePageKey(after, parts) === undefined) throw invalid('after');
  return after;
}

export function invalid(what: string): GochatError {
  return new GochatError('ARGUMENT_INVALID', { details: { what } });
}
