/** Test support: appends entries to a store. */
import type { ConversationId, MessageId } from '../../common/mod.ts';
import { DEFAULT_ENTRY_RULES } from '../policy.ts';
import type { Appended, Draft, DraftEntry, LogStore } from '../store/store.ts';

let last = 0n;

/** Makes a draft with an id and a client_msg_id of its own. */
export function draft(
  conversation: ConversationId,
  given: Partial<Omit<Draft, 'entry'>> & Pick<Draft, 'sender'> & { readonly entry?: Partial<DraftEntry> },
): Draft {
  last++;
  const { entry, ...fields } = given;
  const none = {
    kind: 'message',
    target: 0,
    thread: 0,
    targetClientMsgId: '',
    range: undefined,
    reason: '',
  } as const;
  return {
    conversation,
    id: last as MessageId,
    clientMsgId: `draft${last}`,
    text: '',
    atMs: 0,
    ...fields,
    entry: entry && { ...none, ...entry },
  };
}

/** Appends one entry. @throws if it is refused */
export async function append(
  store: Pick<LogStore, 'append'>,
  conversation: ConversationId,
  given: Parameters<typeof draft>[1],
): Promise<Extract<Appended, { ok: true }>> {
  const [appended] = await store.append([draft(conversation, given)], DEFAULT_ENTRY_RULES);
  if (appended?.ok !== true) throw new Error(`refused: ${appended?.code}`);
  return appended;
}
