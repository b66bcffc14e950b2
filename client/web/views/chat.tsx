/** The chat: conversations, the open one, and a side panel. */
import { useEffect } from 'preact/hooks';
import { Announcer } from '../parts/announcer.tsx';
import { Menu } from '../parts/menu.tsx';
import { ChatContext, type ChatParts, titleOf } from '../state/chat.ts';
import { useShortcuts } from '../state/shortcuts.ts';
import { go, route } from '../state/route.ts';
import { dialog, panel } from '../state/screen.ts';
import { t } from '../state/texts.ts';
import { useSource } from '../state/use-source.ts';
import { useWatch } from '../state/watch.ts';
import { Conversation } from './conversation.tsx';
import { Dialogs } from './dialogs.tsx';
import { Members } from './members.tsx';
import { Nav } from './nav.tsx';
import { Pins } from './pins.tsx';
import { Welcome } from './welcome.tsx';

export function Chat(parts: ChatParts) {
  const { model } = parts;
  useSource(model.conversations);
  useShortcuts();
  useWatch(parts);
  const { conversation } = route.value;
  const row = conversation === undefined ? undefined : model.conversations.get(conversation);
  const isGone = conversation !== undefined && row === undefined && model.conversations.isLoaded;
  useEffect(() => {
    if (isGone) go();
  }, [isGone]);
  useEffect(() => {
    const unread = model.conversations
      .rows()
      .filter((each) => each.unread > 0 && each.mutedUntilMs === 0).length;
    const title = row === undefined ? t().appName : `${titleOf(row)} · ${t().appName}`;
    document.title = unread === 0 ? title : `(${unread}) ${title}`;
  });
  const open = row === undefined ? undefined : panel.value;
  return (
    <ChatContext.Provider value={parts}>
      <div
        class={`app${open === undefined ? '' : ' with-panel'}${conversation === undefined ? ' home' : ''}`}
      >
        <Nav />
        {row === undefined ? (
          <Welcome isWaiting={conversation !== undefined && !isGone} />
        ) : (
          <Conversation key={row.id} row={row} />
        )}
        {row !== undefined && open === 'members' && <Members row={row} />}
        {row !== undefined && open === 'pins' && <Pins row={row} />}
      </div>
      {dialog.value && <Dialogs open={dialog.value} />}
      <Menu />
      <Announcer />
    </ChatContext.Provider>
  );
}
