/** The chat: conversations, the open one, and a side panel. */
import { useEffect } from 'preact/hooks';
import { Announcer } from '../parts/announcer.tsx';
import { Menu } from '../parts/menu.tsx';
import { ChatContext, type ChatParts, titleOf, useChat } from '../state/chat.ts';
import { useShortcuts } from '../state/shortcuts.ts';
import { go, route } from '../state/route.ts';
import { dialog, panel } from '../state/screen.ts';
import { t } from '../state/texts.ts';
import { SELDOM_MS, useSource } from '../state/use-source.ts';
import { useWatch } from '../state/watch.ts';
import { Conversation } from './conversation.tsx';
import { Dialogs } from './dialogs.tsx';
import { Members } from './members.tsx';
import { Nav } from './nav.tsx';
import { Pins } from './pins.tsx';
import { Welcome } from './welcome.tsx';

export function Chat(parts: ChatParts) {
  useShortcuts();
  return (
    <ChatContext.Provider value={parts}>
      <Frame />
      {dialog.value && <Dialogs open={dialog.value} />}
      <Menu />
      <Announcer />
      <Watch />
      <Title />
    </ChatContext.Provider>
  );
}

/** The columns. */
function Frame() {
  const { model } = useChat();
  const conversations = useSource(model.conversations, SELDOM_MS);
  const { conversation } = route.value;
  const row = conversation === undefined ? undefined : conversations.get(conversation);
  const isGone = conversation !== undefined && row === undefined && conversations.isLoaded;
  useEffect(() => {
    if (isGone) go();
  }, [isGone]);
  const open = row === undefined ? undefined : panel.value;
  return (
    <div class={`app${open === undefined ? '' : ' with-panel'}${conversation === undefined ? ' home' : ''}`}>
      <Nav />
      {row === undefined ? (
        <Welcome isWaiting={conversation !== undefined && !isGone} />
      ) : (
        <Conversation key={row.id} row={row} />
      )}
      {row !== undefined && open === 'members' && <Members row={row} />}
      {row !== undefined && open === 'pins' && <Pins row={row} />}
    </div>
  );
}

/** The title of the window, with the number of unread conversations. */
function Title() {
  const { model } = useChat();
  const rows = useSource(model.conversations, SELDOM_MS).rows();
  const { conversation } = route.value;
  const row = rows.find(({ id }) => id === conversation);
  const unread = rows.filter((each) => each.unread > 0 && each.mutedUntilMs === 0).length;
  const title = row === undefined ? t().appName : `${titleOf(row)} · ${t().appName}`;
  const whole = unread === 0 ? title : `(${unread}) ${title}`;
  useEffect(() => {
    document.title = whole;
  }, [whole]);
  return null;
}

function Watch() {
  useWatch(useChat());
  return null;
}
