/** The timeline of the open conversation: by day and author, with the line above which all is read. */
import { useEffect, useLayoutEffect, useState } from 'preact/hooks';
import type { ConversationRow, MessageItem, Timeline, TimelineItem } from '../../model/mod.ts';
import { Icon } from '../parts/icon.tsx';
import { Problem } from '../parts/problem.tsx';
import { type InSight, useAnchor } from '../parts/use-anchor.ts';
import { titleOf, useChat } from '../state/chat.ts';
import { progressOf } from '../state/progress.ts';
import { t } from '../state/texts.ts';
import { dayNumber, dayOf, timeOf } from '../state/times.ts';
import { OFTEN_MS, SELDOM_MS, useSource } from '../state/use-source.ts';
import { Message } from './message.tsx';
import { System } from './system.tsx';

/** Messages of one author within this time stand together, ms. */
const GROUP_MS = 5 * 60_000;
/** So near to an end of what is here the next page is fetched, px. */
const PAGE_PX = 800;

export interface LogProps {
  readonly row: ConversationRow;
  readonly timeline: Timeline;
  /** Seq up to which everything was read when one came; Infinity: everything. */
  readonly seen: number;
  /** Seq of the message that one wants to see. */
  readonly target: number | undefined;
  readonly onMarkUnread: (fromSeq: number) => void;
}

export function Log({ row, timeline, seen, target, onMarkUnread }: LogProps) {
  const { model } = useChat();
  const { id } = row;
  useSource(timeline, OFTEN_MS);
  const watching = useSource(model.watching, SELDOM_MS);
  const [isFar, setFar] = useState(false);
  const onSight = ({ first, last, abovePx, belowPx, viewportPx }: InSight) => {
    if (timeline.state !== 'ready') return;
    const isAtEnd = belowPx < PAGE_PX / 2 && !timeline.hasNewer;
    timeline.view(seqOf(first), isAtEnd);
    setFar(belowPx > viewportPx / 2 || timeline.hasNewer);
    if (timeline.error === undefined) {
      if (abovePx < PAGE_PX) void timeline.older();
      if (belowPx < PAGE_PX) void timeline.newer();
    }
    if (document.visibilityState !== 'visible' || !document.hasFocus()) return;
    const isWholeInSight = belowPx < 24 && !timeline.hasNewer;
    model.conversations.read(id, isWholeInSight ? row.lastSeq : seqOf(last));
  };
  const anchor = useAnchor(onSight);
  useEffect(() => {
    addEventListener('focus', anchor.look);
    document.addEventListener('visibilitychange', anchor.look);
    return () => {
      removeEventListener('focus', anchor.look);
      document.removeEventListener('visibilitychange', anchor.look);
    };
  }, [anchor]);
  useLayoutEffect(() => {
    const messages = anchor.content.current?.querySelectorAll<HTMLElement>('.msg') ?? [];
    const last = messages[messages.length - 1];
    // One of them is where Tab comes to.
    if (last !== undefined && anchor.content.current?.querySelector('.msg[tabindex="0"]') === null)
      last.tabIndex = 0;
  });
  const { arrivals } = timeline;
  useLayoutEffect(() => {
    const find = (selector: string) => anchor.content.current?.querySelector<HTMLElement>(selector);
    const wanted = target === undefined ? find('.new') : find(`[data-seq="${target}"]`);
    if (wanted === null || wanted === undefined) anchor.toEnd();
    else anchor.toRow(wanted, 0.3);
    if (target !== undefined) wanted?.focus({ preventScroll: true });
  }, [arrivals, target]);
  // One's own message goes to the end, wherever one was.
  const last = timeline.items().at(-1);
  const ownLast = last?.kind === 'message' && last.isOwn ? last.key : undefined;
  useLayoutEffect(() => {
    if (ownLast !== undefined && last?.kind === 'message' && last.state === 'sending') anchor.toEnd();
  }, [ownLast]);

  const items = timeline.items();
  const progress = progressOf(items, watching, id);
  const rows = items.flatMap((item, i) => {
    const before = items[i - 1];
    const { atMs, seq } = headOf(item);
    const isNewDay = before === undefined || dayNumber(headOf(before).atMs) !== dayNumber(atMs);
    const isFirstNew = isUnread(item, seen) && (before === undefined || headOf(before).seq <= seen);
    const isContinued = !isNewDay && !isFirstNew && continues(before, item);
    return [
      isNewDay && (
        <h2 class="day" key={`day ${dayNumber(atMs)}`}>
          {dayOf(atMs)}
        </h2>
      ),
      isFirstNew && (
        <h2 class="new" key="new">
          {t().newSince(timeOf(atMs))}
        </h2>
      ),
      item.kind === 'system' ? (
        <System key={item.key} entry={item.entry} />
      ) : (
        <Message
          key={item.key}
          item={item}
          row={row}
          timeline={timeline}
          isContinued={isContinued}
          isTarget={seq === target && seq > 0}
          progress={progress.get(item.key)}
          onMarkUnread={onMarkUnread}
        />
      ),
    ];
  });
  const isEmpty = timeline.state === 'ready' && items.length === 0;
  return (
    <div class="scroll">
      <div class="timeline" ref={anchor.scroller}>
        {!timeline.hasOlder && timeline.state === 'ready' && items.length > 0 && (
          <p class="beginning hint">{row.floorSeq > 0 ? t().floor : t().beginning}</p>
        )}
        {isEmpty && <p class="beginning hint">{t().nothingYet}</p>}
        {timeline.error !== undefined && (
          <div class="load-problem">
            <Problem text={t().loadFailed(timeline.error.message)} />
            <button class="btn small" type="button" onClick={() => void timeline.retry()}>
              {t().retry}
            </button>
          </div>
        )}
        <div
          class="log"
          role="log"
          aria-live="off"
          aria-label={t().timeline(titleOf(row))}
          aria-busy={timeline.state === 'loading'}
          ref={anchor.content}
          onKeyDown={moveInLog}
          onFocusIn={rove}
        >
          {rows}
        </div>
      </div>
      {isFar && (
        <button
          class="newest"
          type="button"
          onClick={() => {
            if (timeline.hasNewer) void timeline.jump();
            else anchor.toEnd();
          }}
        >
          <Icon name="down" small />
          <bdi>{row.unread > 0 ? t().newCount(row.unread) : t().newest}</bdi>
        </button>
      )}
    </div>
  );
}

function headOf(item: TimelineItem): { readonly seq: number; readonly atMs: number } {
  return item.kind === 'message' ? item.message : item.entry;
}

function isUnread(item: TimelineItem, seen: number): boolean {
  return item.kind === 'message' && !item.isOwn && item.message.seq > seen;
}

/** Whether a message stands together with the one before it. */
function continues(before: TimelineItem | undefined, item: TimelineItem): boolean {
  if (before?.kind !== 'message' || item.kind !== 'message') return false;
  const [a, b]: MessageItem['message'][] = [before.message, item.message];
  return a?.sender === b?.sender && (b?.atMs ?? 0) - (a?.atMs ?? 0) < GROUP_MS;
}

function seqOf(row: HTMLElement | undefined): number {
  return Number(row?.dataset['seq'] ?? 0);
}

/** Arrows go from message to message. */
function moveInLog(event: KeyboardEvent): void {
  const target = event.target as HTMLElement;
  if (!target.classList.contains('msg')) return;
  const messages = [...(event.currentTarget as HTMLElement).querySelectorAll<HTMLElement>('.msg')];
  const at = messages.indexOf(target);
  const to = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: messages.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  messages[to]?.focus();
}

/** The message that has the focus is the one to which Tab comes back. */
function rove(event: FocusEvent): void {
  const message = (event.target as HTMLElement).closest<HTMLElement>('.msg');
  if (message === null) return;
  for (const each of (event.currentTarget as HTMLElement).querySelectorAll<HTMLElement>('.msg[tabindex="0"]'))
    each.tabIndex = -1;
  message.tabIndex = 0;
}
