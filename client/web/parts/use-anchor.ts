/**
 * Keeps what one reads where it is, whatever is added above, below or within: at the end of the log its end, else the first row
 * in sight. Browsers' own scroll anchoring is off, as not all of them have it.
 */
import type { RefObject } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';

/** So near to the end one reads the end, px. */
const END_PX = 24;

export interface InSight {
  readonly first: HTMLElement | undefined;
  readonly last: HTMLElement | undefined;
  /** How far the ends of the log are, px. */
  readonly abovePx: number;
  readonly belowPx: number;
  readonly viewportPx: number;
}

export interface Anchor {
  readonly scroller: RefObject<HTMLDivElement | null>;
  readonly content: RefObject<HTMLDivElement | null>;
  readonly toEnd: () => void;
  /** Goes to a row. @param share where in the viewport its top is to be, 0 to 1 */
  readonly toRow: (row: HTMLElement, share: number) => void;
  /** Tells again what is in sight. */
  readonly look: () => void;
}

/** @param onSight called whenever something else may be in sight */
export function useAnchor(onSight: (sight: InSight) => void): Anchor {
  const scroller = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const tell = useRef(onSight);
  tell.current = onSight;
  const [keeper] = useState(() => makeKeeper(scroller, content, (sight) => tell.current(sight)));
  const { restore, look } = keeper;
  useLayoutEffect(restore);
  useEffect(() => {
    const [view, log] = [scroller.current, content.current];
    if (view === null || log === null) return undefined;
    const sizes = new ResizeObserver(restore);
    sizes.observe(view);
    sizes.observe(log);
    view.addEventListener('scroll', look, { passive: true });
    return () => {
      sizes.disconnect();
      view.removeEventListener('scroll', look);
    };
  }, []);
  return keeper;
}

function makeKeeper(
  scroller: Anchor['scroller'],
  content: Anchor['content'],
  onSight: (sight: InSight) => void,
): Anchor & { readonly restore: () => void } {
  /** What one reads: at the end of the log its end, else a row and its place. */
  let held: { readonly row: HTMLElement | undefined; readonly top: number; readonly isAtEnd: boolean } = {
    row: undefined,
    top: 0,
    isAtEnd: true,
  };
  const look = () => {
    const [view, log] = [scroller.current, content.current];
    if (view === null || log === null) return;
    const rows = log.children;
    const { scrollTop, clientHeight, scrollHeight } = view;
    const first = rows[firstBelow(rows, scrollTop)] as HTMLElement | undefined;
    const last = rows[firstBelow(rows, scrollTop + clientHeight + 1) - 1] as HTMLElement | undefined;
    const belowPx = scrollHeight - scrollTop - clientHeight;
    held = { row: first, top: first === undefined ? 0 : topIn(view, first), isAtEnd: belowPx < END_PX };
    onSight({ first, last, abovePx: scrollTop, belowPx, viewportPx: clientHeight });
  };
  const restore = () => {
    const view = scroller.current;
    if (view === null) return;
    const { row, top, isAtEnd } = held;
    if (isAtEnd) view.scrollTop = view.scrollHeight;
    else if (row?.isConnected === true) view.scrollTop += topIn(view, row) - top;
    look();
  };
  return {
    scroller,
    content,
    look,
    restore,
    toEnd: () => {
      held = { ...held, isAtEnd: true };
      restore();
    },
    toRow: (row, share) => {
      const view = scroller.current;
      if (view === null) return;
      view.scrollTop += topIn(view, row) - view.clientHeight * share;
      look();
    },
  };
}

function topIn(view: HTMLElement, row: HTMLElement): number {
  return row.getBoundingClientRect().top - view.getBoundingClientRect().top;
}

/** Returns the index of the first row whose end is below a height. */
function firstBelow(rows: HTMLCollection, height: number): number {
  let [low, high] = [0, rows.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const row = rows[middle] as HTMLElement;
    if (row.offsetTop + row.offsetHeight > height) high = middle;
    else low = middle + 1;
  }
  return low;
}
