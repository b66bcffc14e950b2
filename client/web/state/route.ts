/** Where one is: /, or /r/CONVERSATION, or /r/CONVERSATION/SEQ. */
import { signal } from '@preact/signals';

export interface Route {
  readonly conversation: string | undefined;
  /** A message in it. */
  readonly seq: number | undefined;
}

const PATH = /^\/r\/(\d+)(?:\/(\d+))?$/;
export const route = signal<Route>(parse());

addEventListener('popstate', () => {
  route.value = parse();
});

/** Goes to a conversation, or a message in it; without one to the list. */
export function go(conversation?: string, seq?: number): void {
  const path = pathTo(conversation, seq);
  if (path !== location.pathname) history.pushState(null, '', path);
  route.value = { conversation, seq };
}

export function pathTo(conversation?: string, seq?: number): string {
  if (conversation === undefined) return '/';
  return seq === undefined ? `/r/${conversation}` : `/r/${conversation}/${seq}`;
}

function parse(): Route {
  const [, conversation, seq] = PATH.exec(location.pathname) ?? [];
  return { conversation, seq: seq === undefined ? undefined : Number(seq) };
}
