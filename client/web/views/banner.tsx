/** Says that there is no connection, and when the next attempt is. */
import { useEffect, useState } from 'preact/hooks';
import { Icon } from '../parts/icon.tsx';
import { useChat } from '../state/chat.ts';
import { t } from '../state/texts.ts';
import { useSource } from '../state/use-source.ts';

/** A break that is over by then is not worth a banner, ms. */
const PATIENCE_MS = 1_000;

export function Banner() {
  const { client, model } = useChat();
  const { link, sinceMs, retryAtMs } = useSource(model.status);
  const isBroken = link === 'offline';
  const nowMs = useClock(isBroken);
  if (!isBroken || nowMs - (sinceMs ?? nowMs) < PATIENCE_MS) return null;
  const leftS = Math.max(0, Math.ceil(((retryAtMs ?? nowMs) - nowMs) / 1000));
  const inTime = `${Math.floor(leftS / 60)}:${String(leftS % 60).padStart(2, '0')}`;
  return (
    <div class="banner" role="status">
      <Icon name="cloudoff" />
      <span class="cut">
        <b>{t().offlineNow}</b>{' '}
        <span aria-hidden="true">{leftS > 0 ? t().nextTry(inTime) : t().tryingNow}</span>
      </span>
      <button class="btn small" type="button" onClick={() => client.reconnect()}>
        {t().tryNow}
      </button>
    </div>
  );
}

/** Unix time, ms, by the second while it runs. */
function useClock(isRunning: boolean): number {
  const [nowMs, set] = useState(Date.now());
  useEffect(() => {
    if (!isRunning) return undefined;
    set(Date.now());
    const timer = setInterval(() => set(Date.now()), 500);
    return () => clearInterval(timer);
  }, [isRunning]);
  return nowMs;
}
