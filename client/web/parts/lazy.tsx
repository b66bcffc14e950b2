/** A component that is fetched when it is first shown. */
import type { FunctionComponent } from 'preact';
import { useEffect, useState } from 'preact/hooks';

export function lazy(fetch: () => Promise<FunctionComponent>): FunctionComponent {
  let fetched: FunctionComponent | undefined;
  return function Lazy() {
    const [, draw] = useState(0);
    useEffect(() => {
      if (fetched !== undefined) return;
      void fetch().then((component) => {
        fetched = component;
        draw(1);
      });
    }, []);
    const Fetched = fetched;
    return Fetched === undefined ? null : <Fetched />;
  };
}
