/** Tells the server what is on the screen, and whether somebody is there. */
import { useEffect, useState } from 'preact/hooks';
import type { ChatParts } from './chat.ts';
import { route } from './route.ts';
import { SELDOM_MS, useSource } from './use-source.ts';

/** Without a key or a movement for so long, nobody is there, ms. */
const IDLE_MS = 5 * 60_000;
/** The watch follows the list at this pace, ms. */
const SETTLE_MS = 300;

export function useWatch({ model }: ChatParts): void {
  const isIdle = useIdle();
  const { conversation } = route.value;
  useSource(model.conversations, SELDOM_MS);
  const peers = model.conversations.rows().flatMap(({ peer }) => peer ?? []);
  const isLoaded = model.conversations.isLoaded;
  const key = peers.join();
  useEffect(() => {
    if (!isLoaded) return undefined;
    const isMember = conversation !== undefined && model.conversations.get(conversation) !== undefined;
    const targets = { conversations: isMember ? [conversation] : [], users: peers, idle: isIdle };
    const timer = setTimeout(() => model.watching.show(targets), SETTLE_MS);
    return () => clearTimeout(timer);
  }, [model, conversation, key, isIdle, isLoaded]);
}

function useIdle(): boolean {
  const [isIdle, set] = useState(false);
  useEffect(() => {
    let timer = setTimeout(() => set(true), IDLE_MS);
    const active = () => {
      clearTimeout(timer);
      timer = setTimeout(() => set(true), IDLE_MS);
      set(false);
    };
    const kinds = ['pointermove', 'keydown', 'focus'];
    for (const kind of kinds) addEventListener(kind, active, { passive: true });
    return () => {
      clearTimeout(timer);
      for (const kind of kinds) removeEventListener(kind, active);
    };
  }, []);
  return isIdle;
}
