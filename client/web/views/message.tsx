/** A message, and what one can do with it. */
import type { ComponentChildren } from 'preact';
import { useRef, useState } from 'preact/hooks';
import type { ChatMessage } from '../../sdk/mod.ts';
import type { ConversationRow, MessageItem, Timeline } from '../../model/mod.ts';
import { plainText } from '../../markdown/mod.ts';
import { Avatar } from '../parts/avatar.tsx';
import { IconButton } from '../parts/icon-button.tsx';
import { Icon } from '../parts/icon.tsx';
import { Markdown } from '../parts/markdown.tsx';
import { memo } from '../parts/memo.ts';
import { nameOf, useChat } from '../state/chat.ts';
import { messageMenu } from '../state/message-menu.ts';
import type { Shown } from '../state/progress.ts';
import { go, pathTo } from '../state/route.ts';
import { intend, openMenu } from '../state/screen.ts';
import { t } from '../state/texts.ts';
import { fullTimeOf, timeOf } from '../state/times.ts';

/** So long a finger rests on a message for its menu, ms. */
const LONG_PRESS_MS = 500;
/** Readers whose faces are shown. */
const MAX_FACES = 5;

export interface MessageProps {
  readonly item: MessageItem;
  readonly row: ConversationRow;
  readonly timeline: Timeline;
  /** Whether it stands together with the one before. */
  readonly isContinued: boolean;
  readonly isTarget: boolean;
  readonly progress: Shown | undefined;
  readonly onMarkUnread: (fromSeq: number) => void;
}

function Draw({ item, row, timeline, isContinued, isTarget, progress, onMarkUnread }: MessageProps) {
  const chat = useChat();
  const [isActive, setActive] = useState(false);
  const press = useRef<ReturnType<typeof setTimeout>>(undefined);
  const { message, isOwn, state, change } = item;
  const { seq, sender, from, atMs, retraction } = message;
  const me = chat.model.me;
  const name = nameOf(chat, sender) === '…' ? from : nameOf(chat, sender);
  const actions = () => messageMenu({ row, timeline, item, onMarkUnread });
  const open = (at: HTMLElement | MouseEvent) => openMenu(t().actions, actions(), at);
  const classes = [
    'msg',
    isContinued && 'cont',
    isOwn && 'own',
    isTarget && 'target',
    (state === 'sending' || change !== undefined) && 'sending',
  ];
  const text = plainText(message.text, (user) => nameOf(chat, user));
  return (
    <article
      class={classes.filter(Boolean).join(' ')}
      tabIndex={-1}
      data-seq={seq > 0 ? seq : undefined}
      aria-label={`${name}, ${timeOf(atMs)}: ${retraction === undefined ? text : tombstone(chat, message)}`}
      onMouseEnter={() => setActive(true)}
      onMouseLeave={() => setActive(false)}
      onFocusIn={() => setActive(true)}
      onFocusOut={() => setActive(false)}
      onContextMenu={(event) => {
        if (getSelection()?.isCollapsed === false || (event.target as Element).closest('a') !== null) return;
        open(event);
      }}
      onTouchStart={(event) => {
        const touched = event.currentTarget;
        press.current = setTimeout(() => open(touched), LONG_PRESS_MS);
      }}
      onTouchMove={() => clearTimeout(press.current)}
      onTouchEnd={() => clearTimeout(press.current)}
      onKeyDown={(event) => {
        if (event.target !== event.currentTarget) return;
        const isReply = event.key === 'r' && !event.ctrlKey && !event.metaKey;
        if (event.key === 'Enter') open(event.currentTarget);
        else if (isReply && seq > 0 && retraction === undefined) intend(row.id, { kind: 'reply', seq });
        else return;
        event.preventDefault();
      }}
    >
      {isContinued ? (
        <time class="at-time" dateTime={new Date(atMs).toISOString()}>
          {timeOf(atMs)}
        </time>
      ) : (
        <>
          <Avatar user={sender} name={name} size={36} />
          <header>
            <b class="name cut" dir="auto">
              {name}
            </b>
            <time dateTime={new Date(atMs).toISOString()} title={fullTimeOf(atMs)}>
              {timeOf(atMs)}
            </time>
          </header>
        </>
      )}
      {retraction === undefined ? (
        <>
          {message.quote !== undefined && <Quoted row={row} message={message} />}
          {message.thread !== undefined && <InThread row={row} root={message.thread} />}
          <div class="body" dir="auto">
            <Markdown
              text={message.text}
              nameOf={(user) => nameOf(chat, user)}
              me={me}
              end={endOf(item, progress)}
            />
          </div>
        </>
      ) : (
        <p class="gone">
          <Icon name="ban" small />
          {tombstone(chat, message)}
        </p>
      )}
      {item.refusal !== undefined && <Refused row={row} timeline={timeline} item={item} />}
      {progress !== undefined && progress.readers !== '' && row.kind === 'room' && (
        <Readers users={progress.readers.split(',')} />
      )}
      {isActive && (
        <div class="actions" role="toolbar" aria-label={t().actions}>
          {seq > 0 && retraction === undefined && (
            <IconButton
              icon="reply"
              label={t().reply}
              onClick={() => intend(row.id, { kind: 'reply', seq })}
            />
          )}
          {isOwn && retraction === undefined && state !== 'failed' && (
            <IconButton
              icon="pen"
              label={t().edit}
              onClick={() =>
                intend(row.id, { kind: 'edit', target: seq || message.clientMsgId, text: message.text })
              }
            />
          )}
          <IconButton
            icon="more"
            label={t().more}
            hasMenu
            onClick={(event) => open(event.currentTarget as HTMLElement)}
          />
        </div>
      )}
    </article>
  );
}

export const Message = memo(Draw);

function tombstone(chat: ReturnType<typeof useChat>, { sender, retraction }: ChatMessage): string {
  const { by = '', reason = '' } = retraction ?? {};
  const name = nameOf(chat, by);
  if (by === sender) return t().removedByAuthor(name);
  return reason === '' ? t().removedBy(name) : t().removedBecause(name, reason);
}

/** What stands after the last word: that it was edited, and how far it has come. */
function endOf({ message, state }: MessageItem, progress: Shown | undefined): ComponentChildren {
  const isEdited = message.version > 0;
  const isShown = progress !== undefined && state !== 'failed';
  if (!isEdited && !isShown) return undefined;
  return (
    <>
      {isEdited && <span class="edited"> {t().edited}</span>}
      {isShown && <State {...progress} />}
    </>
  );
}

function State({ state }: Shown) {
  const label = { sending: t().sending, sent: t().sent, delivered: t().delivered, read: t().read }[state];
  const icon = { sending: 'clock', sent: 'check', delivered: 'checks', read: 'checks' } as const;
  return (
    <span class={`state ${state}`} role="img" aria-label={label} title={label}>
      <Icon name={icon[state]} />
    </span>
  );
}

function Readers({ users }: { users: readonly string[] }) {
  const chat = useChat();
  const names = users.map((user) => nameOf(chat, user));
  const label = t().readBy(names.join(', '));
  return (
    <span class="readers stack" title={label}>
      <span class="sr">{label}</span>
      {users.slice(0, MAX_FACES).map((user) => (
        <Avatar user={user} name={nameOf(chat, user)} size={16} />
      ))}
      {users.length > MAX_FACES && <span class="hint">+{users.length - MAX_FACES}</span>}
    </span>
  );
}

/** Says that a message belongs to a thread; a press goes to its first message. */
function InThread({ row, root }: { row: ConversationRow; root: number }) {
  return (
    <a
      class="quote"
      href={pathTo(row.id, root)}
      onClick={(event) => {
        event.preventDefault();
        go(row.id, root);
      }}
    >
      <Icon name="reply" small />
      <span class="cut">{t().inThread}</span>
    </a>
  );
}

/** The message that this one answers; a press goes to it. */
function Quoted({ row, message }: { row: ConversationRow; message: ChatMessage }) {
  const chat = useChat();
  const { quote } = message;
  if (quote === undefined) return null;
  const text =
    quote.state === 'kept'
      ? `${plainText(quote.text, (user) => nameOf(chat, user))}${quote.cut ? '…' : ''}`
      : quote.state === 'retracted'
        ? t().quoteGone
        : t().quoteExpired;
  return (
    <a
      class="quote"
      href={pathTo(row.id, quote.seq)}
      onClick={(event) => {
        event.preventDefault();
        go(row.id, quote.seq);
      }}
    >
      {quote.state !== 'expired' && (
        <b class="cut" dir="auto">
          {quote.from}
        </b>
      )}
      <span class="cut" dir="auto">
        {text}
      </span>
    </a>
  );
}

/** Why the server has refused it, and what one can do. */
function Refused({ row, timeline, item }: { row: ConversationRow; timeline: Timeline; item: MessageItem }) {
  const { refusal, state, message } = item;
  if (refusal === undefined) return null;
  const id = message.clientMsgId;
  const again = (target: number | string) => intend(row.id, { kind: 'edit', target, text: refusal.text });
  return (
    <div class="failed" role="alert">
      <span>
        <Icon name="info" small />
        {state === 'failed' ? t().notSent(refusal.message) : t().notChanged(refusal.message)}
      </span>
      {state === 'failed' ? (
        <>
          <button class="link" type="button" onClick={() => timeline.resend(id)}>
            {t().sendAgain}
          </button>
          <button class="link" type="button" onClick={() => timeline.discard(id)}>
            {t().delete}
          </button>
        </>
      ) : (
        <>
          {refusal.kind === 'edit' && (
            <button class="link" type="button" onClick={() => again(message.seq)}>
              {t().useText}
            </button>
          )}
          <button class="link" type="button" onClick={() => timeline.forgive(message.seq)}>
            {t().dismiss}
          </button>
        </>
      )}
    </div>
  );
}
