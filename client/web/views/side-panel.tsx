/** The side panel: a title, what closes it, and what it shows. */
import type { ComponentChildren } from 'preact';
import { IconButton } from '../parts/icon-button.tsx';
import { panel } from '../state/screen.ts';
import { t } from '../state/texts.ts';

export function SidePanel({
  title,
  count,
  children,
}: {
  title: string;
  count?: number | undefined;
  children: ComponentChildren;
}) {
  const close = () => {
    panel.value = undefined;
  };
  return (
    <aside class="panel" aria-label={title}>
      <header class="bar">
        <IconButton icon="back" isFlipped class="only-phone" label={t().back} onClick={close} />
        <div class="title">
          <h2>{title}</h2>
          {count !== undefined && <span class="hint num">{count}</span>}
        </div>
        <div class="tools">
          <IconButton icon="x" class="not-phone" label={t().close} onClick={close} />
        </div>
      </header>
      {children}
    </aside>
  );
}
