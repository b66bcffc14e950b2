/** Draws a component anew when a part of the model has changed. */
import { useEffect, useReducer } from 'preact/hooks';
import type { Source } from '../../model/mod.ts';

/** Least time between two drawings of what changes often: one sees no difference, and the main thread is free for keys, ms. */
export const OFTEN_MS = 50;
export const SELDOM_MS = 200;

/** @param intervalMs least time between two drawings; the first change after it shows in the next frame */
export function useSource<S extends Source>(source: S, intervalMs = 0): S {
  const [, draw] = useReducer((count: number) => count + 1, 0);
  const { version } = source;
  useEffect(() => {
    let isWaiting = false;
    let drawnMs = 0;
    let frame = 0;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const drawInFrame = () => {
      frame = requestAnimationFrame(() => {
        isWaiting = false;
        drawnMs = performance.now();
        draw(undefined);
      });
    };
    const wait = () => {
      if (isWaiting) return;
      isWaiting = true;
      const restMs = drawnMs + intervalMs - performance.now();
      if (restMs <= 0) drawInFrame();
      else timer = setTimeout(drawInFrame, restMs);
    };
    // It may have changed between drawing and now.
    if (source.version !== version) wait();
    const stop = source.subscribe(wait);
    return () => {
      stop();
      clearTimeout(timer);
      cancelAnimationFrame(frame);
    };
  }, [source, intervalMs]);
  return source;
}
