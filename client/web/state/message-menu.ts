/** What one can do with a message. */
import type { ConversationRow, MessageItem, Timeline } from '../../model/mod.ts';
import { pathTo } from './route.ts';
import { announcement, dialog, intend, type MenuItem } from './screen.ts';
import { t } from './texts.ts';

export interface MessageMenuParts {
  readonly row: ConversationRow;
  readonly timeline: Timeline;
  readonly item: MessageItem;
  readonly onMarkUnread: (fromSeq: number) => void;
}

export function messageMenu(parts: MessageMenuParts): readonly MenuItem[] {
  const { row, timeline, item, onMarkUnread } = parts;
  const { message, isOwn, state } = item;
  const { seq, text, clientMsgId, retraction } = message;
  const isKept = retraction === undefined && state !== 'failed';
  const isStored = seq > 0;
  const isPinned = timeline.pinned()?.some((pin) => pin.seq === seq) ?? false;
  // What the server refuses in spite of this says so beside the message.
  const isModerator = row.kind === 'room' && row.role !== 'member';
  const mayPin = row.kind === 'direct' || isModerator;
  const copy = (what: string) =>
    void navigator.clipboard.writeText(what).then(
      () => {
        announcement.value = t().copied;
      },
      () => undefined,
    );
  const items: (MenuItem | false)[] = [
    isKept &&
      isStored && { icon: 'reply', label: t().reply, act: () => intend(row.id, { kind: 'reply', seq }) },
    isKept &&
      isOwn && {
        icon: 'pen',
        label: t().edit,
        act: () => intend(row.id, { kind: 'edit', target: seq || clientMsgId, text }),
      },
    isKept &&
      isStored &&
      mayPin && {
        icon: 'pin',
        label: isPinned ? t().unpin : t().pin,
        act: () => timeline.pin(seq, !isPinned),
      },
    isStored && { icon: 'link', label: t().copyLink, act: () => copy(location.origin + pathTo(row.id, seq)) },
    isKept && { icon: 'bubble', label: t().copyText, act: () => copy(text) },
    isStored && !isOwn && { icon: 'eye', label: t().markUnread, act: () => onMarkUnread(seq) },
    isKept &&
      (isOwn || isModerator) && {
        icon: 'trash',
        label: t().remove,
        isBad: true,
        act: () => {
          dialog.value = { name: 'remove', conversation: row.id, target: seq || clientMsgId };
        },
      },
  ];
  return items.filter((each): each is MenuItem => each !== false);
}
