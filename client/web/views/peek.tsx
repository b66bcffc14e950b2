/** Beside the sign-in: what a conversation looks like. The people are invented. */
import { Avatar } from '../parts/avatar.tsx';
import { Icon } from '../parts/icon.tsx';
import { t } from '../state/texts.ts';

const SAID = [
  {
    user: '2',
    name: 'Priya Raman',
    time: '21:58',
    text: 'Boats are at the north steps. Ready when you are.',
  },
  { user: '3', name: 'ليلى حداد', time: '21:59', text: 'جاهزون 🏮' },
  { user: '1', name: 'Amara Okafor', time: '22:00', text: 'Lights off on the pier. Go!' },
  { user: '8', name: 'Nora Winther', time: '22:01', text: 'Best view is from the crane.' },
];

export function Peek() {
  return (
    <aside>
      <div class="peek" inert>
        <h3>
          <Icon name="hash" />
          lanterns-on-the-water
        </h3>
        {SAID.map(({ user, name, time, text }) => (
          <div class="msg">
            <Avatar user={user} name={name} size={36} />
            <header>
              <b class="name cut" dir="auto">
                {name}
              </b>
              <time>{time}</time>
            </header>
            <div class="body" dir="auto">
              <p>{text}</p>
            </div>
          </div>
        ))}
      </div>
      <div class="say">
        <h2>{t().promise}</h2>
        <p class="muted">{t().promiseMore}</p>
      </div>
    </aside>
  );
}
