/** The pinned messages of a conversation. */
import { useEffect } from 'preact/hooks';
import type { ConversationRow } from '../../model/mod.ts';
import { plainText } from '../../markdown/mod.ts';
import { Avatar } from '../parts/avatar.tsx';
import { Problem } from '../parts/problem.tsx';
import { useAttempt } from '../parts/use-attempt.ts';
import { nameOf, useChat } from '../state/chat.ts';
import { go, pathTo } from '../state/route.ts';
import { t } from '../state/texts.ts';
import { momentOf } from '../state/times.ts';
import { useSource } from '../state/use-source.ts';
import { SidePanel } from './side-panel.tsx';

export function Pins({ row }: { row: ConversationRow }) {
  const chat = useChat();
  const timeline = useSource(chat.model.timeline(row.id));
  const attempt = useAttempt();
  useEffect(() => {
    void attempt.run(() => timeline.loadPins());
  }, [timeline]);
  const pins = timeline.pinned();
  return (
    <SidePanel title={t().pins} count={pins?.length}>
      <Problem text={attempt.error} />
      <div class="fill">
        {pins?.length === 0 && <p class="nothing">{t().noPins}</p>}
        {pins?.map(({ seq, sender, from, atMs, text }) => (
          <a
            class="hit inset"
            key={seq}
            href={pathTo(row.id, seq)}
            onClick={(event) => {
              event.preventDefault();
              go(row.id, seq);
            }}
          >
            <span class="from">
              <Avatar user={sender} name={from} size={20} />
              <b class="cut" dir="auto">
                {from}
              </b>
              <time>{momentOf(atMs)}</time>
            </span>
            <p dir="auto">{plainText(text, (user) => nameOf(chat, user))}</p>
          </a>
        ))}
      </div>
    </SidePanel>
  );
}
