/** The open conversation: its bar, its timeline, the composer. */
import { useEffect, useState } from 'preact/hooks';
import type { ConversationRow } from '../../model/mod.ts';
import { Avatar } from '../parts/avatar.tsx';
import { IconButton } from '../parts/icon-button.tsx';
import { Icon } from '../parts/icon.tsx';
import { useChat } from '../state/chat.ts';
import { conversationMenu } from '../state/conversation-menu.ts';
import { go, route } from '../state/route.ts';
import { openMenu, type Panel, panel } from '../state/screen.ts';
import { t } from '../state/texts.ts';
import { momentOf } from '../state/times.ts';
import { useSource } from '../state/use-source.ts';
import { Banner } from './banner.tsx';
import { Composer } from './composer.tsx';
import { Log } from './log.tsx';

export function Conversation({ row }: { row: ConversationRow }) {
  const chat = useChat();
  const { model } = chat;
  const timeline = model.timeline(row.id);
  const { seq } = route.value;
  // Where the unread line stands stays while one is here, unless one marks an earlier message unread.
  const [seen, setSeen] = useState(row.unread > 0 ? row.readSeq : Infinity);
  useEffect(() => {
    if (seq !== undefined) void timeline.jump({ around: seq });
    else if (timeline.state === 'empty' || timeline.hasNewer)
      void timeline.jump(row.unread > 0 ? { firstUnread: true } : {});
  }, [timeline, seq]);
  return (
    <main class="main">
      <Bar row={row} />
      <Banner />
      <Log
        row={row}
        timeline={timeline}
        seen={seen}
        target={seq}
        onMarkUnread={(fromSeq) => {
          setSeen(fromSeq - 1);
          void model.conversations.unread(row.id, fromSeq).catch(() => undefined);
        }}
      />
      <Composer row={row} timeline={timeline} />
    </main>
  );
}

function Bar({ row }: { row: ConversationRow }) {
  const chat = useChat();
  const { kind, title, peer, id } = row;
  const watching = useSource(chat.model.watching);
  const presence = peer === undefined ? undefined : watching.presence(peer);
  const members = watching.members(id);
  const seen =
    presence?.status === 'online'
      ? t().online
      : presence?.status === 'idle'
        ? t().idle
        : presence?.lastSeenMs === undefined
          ? ''
          : t().lastSeen(momentOf(presence.lastSeenMs));
  const toggle = (which: Panel) => {
    panel.value = panel.value === which ? undefined : which;
  };
  return (
    <header class="bar">
      <IconButton icon="back" isFlipped class="only-phone" label={t().conversations} onClick={() => go()} />
      <div class="title">
        {kind === 'room' ? (
          <Icon name="hash" />
        ) : (
          <Avatar user={peer ?? id} name={title} size={20} presence={presence} />
        )}
        <h1 class="cut" dir="auto" title={title}>
          {title}
        </h1>
      </div>
      <span class="topic cut not-phone">
        {kind === 'direct' ? seen : members !== undefined && t().membersCount(members)}
      </span>
      <div class="tools">
        <IconButton
          icon="pin"
          label={t().pins}
          isPressed={panel.value === 'pins'}
          onClick={() => toggle('pins')}
        />
        <IconButton
          icon="users"
          label={t().members}
          isPressed={panel.value === 'members'}
          onClick={() => toggle('members')}
        />
        <IconButton
          icon="more"
          label={t().menuFor(title)}
          hasMenu
          onClick={(event) =>
            openMenu(t().menuFor(title), conversationMenu(chat, row), event.currentTarget as HTMLElement)
          }
        />
      </div>
    </header>
  );
}
