/** What one can do with a conversation. */
import type { ConversationRow } from '../../model/mod.ts';
import type { ChatParts } from './chat.ts';
import { announcement, dialog, type MenuItem } from './screen.ts';
import { t } from './texts.ts';

export function conversationMenu({ model }: ChatParts, row: ConversationRow): readonly MenuItem[] {
  const { id, kind, lastSeq, unread, mutedUntilMs } = row;
  const isMuted = mutedUntilMs > 0;
  const mute: MenuItem = {
    icon: 'belloff',
    label: isMuted ? t().unmute : t().mute,
    act: () => void model.conversations.mute(id, !isMuted).catch(tell),
  };
  const read: MenuItem = {
    icon: 'check',
    label: t().markRead,
    act: () => model.conversations.read(id, lastSeq),
  };
  const leave: MenuItem = {
    icon: 'door',
    label: t().leave,
    isBad: true,
    act: () => {
      dialog.value = { name: 'leave', conversation: id };
    },
  };
  return [...(unread > 0 ? [read] : []), mute, ...(kind === 'room' ? [leave] : [])];
}

/** Says why something has failed that shows nowhere else. */
export function tell(error: unknown): void {
  announcement.value = error instanceof Error ? error.message : String(error);
}
