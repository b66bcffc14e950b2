/** Goes anywhere: conversations, people by their handle, rooms, commands. */
import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { Room } from '../../sdk/mod.ts';
import { Avatar } from '../parts/avatar.tsx';
import { closeDialog, Dialog } from '../parts/dialog.tsx';
import { Icon } from '../parts/icon.tsx';
import { Problem } from '../parts/problem.tsx';
import { useAttempt } from '../parts/use-attempt.ts';
import { type ChatParts, joinRoom, useChat } from '../state/chat.ts';
import { go } from '../state/route.ts';
import { dialog } from '../state/screen.ts';
import { t } from '../state/texts.ts';
import { useSource } from '../state/use-source.ts';

/** Options of each kind. */
const MOST = 8;
const HANDLE = /^@?([a-z0-9][\w.-]*)$/i;

interface Option {
  readonly key: string;
  readonly icon: ComponentChildren;
  readonly label: string;
  readonly hint: string;
  readonly act: () => Promise<void> | void;
}

export function Switcher() {
  const chat = useChat();
  const [wanted, want] = useState('');
  const [chosen, choose] = useState(0);
  const [rooms, setRooms] = useState<readonly Room[]>([]);
  const attempt = useAttempt();
  useSource(chat.model.conversations);
  useEffect(() => {
    void chat.client.listRooms({ limit: 200 }).then(
      (page) => setRooms(page.rooms),
      () => undefined,
    );
  }, []);
  const options = optionsFor(chat, wanted.trim(), rooms);
  const at = Math.min(chosen, options.length - 1);
  const run = ({ act }: Option) =>
    void attempt
      .run(async () => act())
      .then((isDone) => {
        if (isDone && dialog.value?.name === 'switcher') closeDialog();
      });
  const onKey = (event: KeyboardEvent) => {
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
    const option = options[at];
    if (step !== 0) choose((at + step + options.length) % Math.max(1, options.length));
    else if (event.key === 'Enter' && option !== undefined) run(option);
    else return;
    event.preventDefault();
  };
  return (
    <Dialog label={t().goTo} kind="palette">
      <div class="ask">
        <Icon name="search" />
        <input
          type="text"
          role="combobox"
          autofocus
          aria-label={t().goTo}
          aria-expanded="true"
          aria-controls="options"
          aria-activedescendant={options.length > 0 ? `option-${at}` : undefined}
          placeholder={t().switcherHint}
          value={wanted}
          onInput={(event) => {
            want(event.currentTarget.value);
            choose(0);
          }}
          onKeyDown={onKey}
        />
      </div>
      <Problem text={attempt.error} />
      <div class="opts" id="options" role="listbox" aria-label={t().goTo}>
        {options.map((option, i) => (
          <div
            class="opt"
            role="option"
            id={`option-${i}`}
            key={option.key}
            aria-selected={i === at}
            ref={(element) => {
              if (i === at) element?.scrollIntoView({ block: 'nearest' });
            }}
            onPointerMove={() => choose(i)}
            onClick={() => run(option)}
          >
            {option.icon}
            <span class="cut" dir="auto">
              {option.label}
            </span>
            <span class="hint cut">{option.hint}</span>
          </div>
        ))}
      </div>
      {options.length === 0 && <p class="nothing">{t().nothingFound}</p>}
      <div class="foot not-phone">
        <span>
          <kbd>↑</kbd>
          <kbd>↓</kbd> {t().choose}
        </span>
        <span>
          <kbd>Enter</kbd> {t().openIt}
        </span>
        <span>
          <kbd>Esc</kbd> {t().closeIt}
        </span>
      </div>
    </Dialog>
  );
}

function optionsFor({ client, model }: ChatParts, wanted: string, rooms: readonly Room[]): readonly Option[] {
  const word = wanted.replace(/^[@#]/, '').toLocaleLowerCase();
  const own = model.conversations
    .rows()
    .filter((row) => `${row.title} ${row.name}`.toLocaleLowerCase().includes(word));
  const open = (conversation: { id: string }) => go(conversation.id);
  const conversations = own.slice(0, MOST).map(
    (row): Option => ({
      key: row.id,
      icon:
        row.kind === 'room' ? (
          <Icon name="hash" />
        ) : (
          <Avatar user={row.peer ?? ''} name={row.title} size={20} />
        ),
      label: row.title,
      hint:
        row.unread > 0 ? t().unreadCount(String(row.unread)) : row.kind === 'direct' ? `@${row.name}` : '',
      act: () => open(row),
    }),
  );
  const others = rooms.filter(({ joined, name }) => !joined && name.toLocaleLowerCase().includes(word));
  const joinable = others.slice(0, MOST).map(
    ({ id, name, members }): Option => ({
      key: `join ${id}`,
      icon: <Icon name="plus" />,
      label: t().joinRoom(name),
      hint: t().membersCount(members),
      act: async () => {
        await joinRoom({ client, model }, id);
        go(id);
      },
    }),
  );
  const handle = HANDLE.exec(wanted)?.[1];
  const isKnown = handle !== undefined && own.some(({ kind, name }) => kind === 'direct' && name === handle);
  const person: Option[] =
    handle === undefined || isKnown
      ? []
      : [
          {
            key: 'write',
            icon: <Icon name="bubble" />,
            label: t().writeTo(handle),
            hint: '',
            act: async () => {
              const direct = await client.openDirect(handle);
              model.conversations.put(direct);
              open(direct);
            },
          },
        ];
  const show = (name: 'settings' | 'create-room'): Option => ({
    key: name,
    icon: <Icon name={name === 'settings' ? 'gear' : 'plus'} />,
    label: name === 'settings' ? t().settings : t().createRoom,
    hint: '',
    act: () => {
      dialog.value = { name };
    },
  });
  const commands = [show('create-room'), show('settings')].filter(({ label }) =>
    label.toLocaleLowerCase().includes(word),
  );
  const isPerson = wanted.startsWith('@');
  return isPerson ? [...person, ...conversations] : [...conversations, ...joinable, ...commands, ...person];
}
