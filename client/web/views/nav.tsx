/** The list of conversations: what is unread, people, rooms; and oneself. */
import type { ConversationRow } from '../../model/mod.ts';
import { MANY } from '../../model/mod.ts';
import { Avatar } from '../parts/avatar.tsx';
import { IconButton } from '../parts/icon-button.tsx';
import { Icon, Logo } from '../parts/icon.tsx';
import { memo } from '../parts/memo.ts';
import { useChat } from '../state/chat.ts';
import { conversationMenu } from '../state/conversation-menu.ts';
import { go, pathTo, route } from '../state/route.ts';
import { dialog, openMenu } from '../state/screen.ts';
import { t } from '../state/texts.ts';
import { toggleTheme } from '../state/theme.ts';
import { SELDOM_MS, useSource } from '../state/use-source.ts';
import type { Presence } from '../../sdk/mod.ts';

export const Nav = memo(function Nav() {
  const { model } = useChat();
  const rows = useSource(model.conversations, SELDOM_MS).rows();
  const drafts = useSource(model.drafts, SELDOM_MS);
  const watching = useSource(model.watching, SELDOM_MS);
  const current = route.value.conversation;
  const isUnread = ({ id, unread, mutedUntilMs }: ConversationRow) =>
    unread > 0 && mutedUntilMs === 0 && id !== current;
  const unread = rows.filter(isUnread);
  const rest = rows.filter((row) => !isUnread(row));
  const draw = (row: ConversationRow) => (
    <Row
      key={row.id}
      row={row}
      isCurrent={row.id === current}
      hasDraft={drafts.get(row.id) !== ''}
      presence={row.peer === undefined ? undefined : watching.presence(row.peer)}
    />
  );
  const people = rest.filter(({ kind }) => kind === 'direct');
  const rooms = rest.filter(({ kind }) => kind === 'room');
  const openSwitcher = () => {
    dialog.value = { name: 'switcher' };
  };
  return (
    <nav class="side" aria-label={t().conversations}>
      <div class="bar">
        <span class="brand">
          <Logo />
          <span class="cut">{t().appName}</span>
        </span>
        <IconButton icon="pen" label={t().newConversation} onClick={openSwitcher} />
      </div>
      <button class="jump" type="button" onClick={openSwitcher}>
        <Icon name="search" small />
        <span>{t().goTo}</span>
        <kbd>Ctrl K</kbd>
      </button>
      <div class="list" onKeyDown={moveInList}>
        {unread.length > 0 && (
          <>
            <h2>
              {t().unread}
              <IconButton
                icon="check"
                isSmall
                label={t().markAllRead}
                onClick={() => {
                  for (const { id, lastSeq } of unread) model.conversations.read(id, lastSeq);
                }}
              />
            </h2>
            <ul aria-label={t().unread}>{unread.map(draw)}</ul>
          </>
        )}
        <h2>
          {t().people}
          <IconButton icon="plus" isSmall label={t().newDirect} onClick={openSwitcher} />
        </h2>
        {people.length === 0 && unread.every(({ kind }) => kind !== 'direct') && (
          <p class="nothing">{t().noPeople}</p>
        )}
        <ul aria-label={t().people}>{people.map(draw)}</ul>
        <h2>
          {t().rooms}
          <IconButton
            icon="plus"
            isSmall
            label={t().newRoom}
            onClick={() => {
              dialog.value = { name: 'create-room' };
            }}
          />
        </h2>
        {rooms.length === 0 && unread.every(({ kind }) => kind !== 'room') && (
          <p class="nothing">{t().noRooms}</p>
        )}
        <ul aria-label={t().rooms}>{rooms.map(draw)}</ul>
      </div>
      <Oneself />
    </nav>
  );
});

interface RowProps {
  readonly row: ConversationRow;
  readonly isCurrent: boolean;
  readonly hasDraft: boolean;
  readonly presence: Presence | undefined;
}

const Row = memo(function Row({ row, isCurrent, hasDraft, presence }: RowProps) {
  const chat = useChat();
  const { id, kind, title, peer, unread, mutedUntilMs } = row;
  const isMuted = mutedUntilMs > 0;
  return (
    <li>
      <a
        class={`conv inset${unread > 0 && !isMuted ? ' unread' : ''}${isMuted ? ' mute' : ''}`}
        href={pathTo(id)}
        aria-current={isCurrent ? 'page' : undefined}
        title={title}
        onContextMenu={(event) => openMenu(t().menuFor(title), conversationMenu(chat, row), event)}
        onClick={(event) => {
          if (event.ctrlKey || event.metaKey || event.shiftKey) return;
          event.preventDefault();
          go(id);
        }}
      >
        {kind === 'room' ? (
          <Icon name="hash" />
        ) : (
          <Avatar user={peer ?? id} name={title} size={20} presence={presence} />
        )}
        <span class="cut" dir="auto">
          {title}
        </span>
        {isMuted ? (
          <Glyph icon="belloff" label={t().muted} />
        ) : (
          hasDraft && <Glyph icon="pen" label={t().draft} />
        )}
        {unread > 0 && (
          <span class="badge">
            {unread >= MANY ? '999+' : unread}
            <span class="sr"> {t().unread}</span>
          </span>
        )}
      </a>
    </li>
  );
});

function Glyph({ icon, label }: { icon: 'belloff' | 'pen'; label: string }) {
  return (
    <span class="glyph" role="img" aria-label={label} title={label}>
      <Icon name={icon} small />
    </span>
  );
}

function Oneself() {
  const { model } = useChat();
  const { self, link } = useSource(model.status);
  const settings = useSource(model.settings).value;
  const name = self?.displayName ?? '';
  const state = { online: t().online, offline: t().offline, connecting: t().connecting, closed: t().offline }[
    link
  ];
  const isHidden = settings?.invisible === true;
  const presence = link === 'online' && !isHidden ? ('online' as const) : ('offline' as const);
  return (
    <div class="self">
      <Avatar
        user={self?.id ?? ''}
        name={name}
        size={32}
        presence={{ user: '', status: presence, lastSeenMs: undefined }}
      />
      <span class="who">
        <b class="cut" dir="auto">
          {name}
        </b>
        <span class="hint cut" dir="auto">
          {link === 'online' ? settings?.status_text || (isHidden ? t().invisible : state) : state}
        </span>
      </span>
      <IconButton icon="moon" label={t().lightOrDark} onClick={toggleTheme} />
      <IconButton
        icon="gear"
        label={t().settings}
        onClick={() => {
          dialog.value = { name: 'settings' };
        }}
      />
    </div>
  );
}

/** Arrows go up and down. */
function moveInList(event: KeyboardEvent): void {
  const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
  if (step === 0) return;
  const list = event.currentTarget as HTMLElement;
  const rows = [...list.querySelectorAll<HTMLElement>('.conv')];
  const at = rows.indexOf(document.activeElement as HTMLElement);
  rows[at + step]?.focus();
  event.preventDefault();
}
