/** Where no conversation is open: what one can do next. */
import { useEffect, useState } from 'preact/hooks';
import type { Room } from '../../sdk/mod.ts';
import { Icon } from '../parts/icon.tsx';
import { Problem } from '../parts/problem.tsx';
import { useAttempt } from '../parts/use-attempt.ts';
import { joinRoom, useChat } from '../state/chat.ts';
import { go } from '../state/route.ts';
import { dialog } from '../state/screen.ts';
import { t } from '../state/texts.ts';
import { useSource } from '../state/use-source.ts';
import { Banner } from './banner.tsx';

/** Rooms that are offered. */
const OFFERED = 6;

/** @param isWaiting whether a conversation is asked for that is not here yet */
export function Welcome({ isWaiting }: { isWaiting: boolean }) {
  const { client, model } = useChat();
  const { self, link } = useSource(model.status);
  const [rooms, setRooms] = useState<readonly Room[]>();
  const attempt = useAttempt();
  useEffect(() => {
    if (link !== 'online' || isWaiting) return;
    void client.listRooms({ limit: OFFERED }).then(
      ({ rooms }) => setRooms(rooms),
      () => undefined,
    );
  }, [link, isWaiting]);
  const join = (id: string) =>
    void attempt.run(async () => {
      await joinRoom({ client, model }, id);
      go(id);
    });
  return (
    <main class="main">
      <header class="bar">
        <div class="title">
          <h1>{t().welcome}</h1>
        </div>
      </header>
      <Banner />
      <div class="first" hidden={isWaiting}>
        <svg class="art" viewBox="0 0 132 88" aria-hidden="true">
          <path
            class="a"
            d="M12 6h62a8 8 0 0 1 8 8v30a8 8 0 0 1-8 8H34L20 63V52h-8a8 8 0 0 1-8-8V14a8 8 0 0 1 8-8z"
          />
          <path
            class="b"
            d="M58 32h58a8 8 0 0 1 8 8v26a8 8 0 0 1-8 8h-4v11L98 74H58a8 8 0 0 1-8-8V40a8 8 0 0 1 8-8z"
          />
          <path class="c" d="M64 48h44M64 59h22" />
          <path class="d" d="M97 58l4 4 9-9M105 61l1 1 9-9" />
        </svg>
        <h2>{t().goodToHaveYou(self?.displayName ?? '')}</h2>
        <p>{t().startWith}</p>
        <Action
          icon="bubble"
          title={t().writeToSomebody}
          hint={t().byHandle}
          keys="Ctrl K"
          opens="switcher"
        />
        <Action icon="plus" title={t().createRoom} hint={t().createRoomHint} opens="create-room" />
        <h3>{t().openRooms}</h3>
        <Problem text={attempt.error} />
        {rooms?.length === 0 && <p class="nothing">{t().noOpenRooms}</p>}
        {rooms?.map(({ id, name, members, joined }) => (
          <div class="do">
            <span class="ico plain">
              <Icon name="hash" />
            </span>
            <span class="what">
              <b class="cut" dir="auto">
                {name}
              </b>
              <span class="hint">{t().membersCount(members)}</span>
            </span>
            <button
              class="btn small"
              type="button"
              aria-label={`${joined ? t().open : t().join} ${name}`}
              onClick={() => (joined ? go(id) : join(id))}
            >
              {joined ? t().open : t().join}
            </button>
          </div>
        ))}
      </div>
    </main>
  );
}

interface ActionProps {
  readonly icon: 'bubble' | 'plus';
  readonly title: string;
  readonly hint: string;
  readonly keys?: string;
  readonly opens: 'switcher' | 'create-room';
}

function Action({ icon, title, hint, keys, opens }: ActionProps) {
  return (
    <button
      class="do"
      type="button"
      onClick={() => {
        dialog.value = { name: opens };
      }}
    >
      <span class="ico">
        <Icon name={icon} />
      </span>
      <span class="what">
        <b>{title}</b>
        <span class="hint">{hint}</span>
      </span>
      {keys !== undefined && <kbd class="not-phone">{keys}</kbd>}
    </button>
  );
}
