/** Draws a component anew when a part of the model has changed, once a frame. */
import { useEffect, useReducer } from 'preact/hooks';
import type { Source } from '../../model/mod.ts';

export function useSource<S extends Source>(source: S): S {
  const [, draw] = useReducer((count: number) => count + 1, 0);
  const { version } = source;
  useEffect(() => {
    let frame = 0;
    const wait = () => {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        draw(undefined);
      });
    };
    // It may have changed between drawing and now.
    if (source.version !== version) wait();
    const stop = source.subscribe(wait);
    return () => {
      stop();
      cancelAnimationFrame(frame);
    };
  }, [source]);
  return source;
}
