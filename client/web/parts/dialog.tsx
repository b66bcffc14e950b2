/** A dialog over the page: it holds the focus, closes by Escape or beside it, and gives the focus back. */
import type { ComponentChildren } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';
import { dialog } from '../state/screen.ts';
import { t } from '../state/texts.ts';
import { IconButton } from './icon-button.tsx';

export function closeDialog(): void {
  dialog.value = undefined;
}

export function Dialog({
  label,
  kind,
  children,
}: {
  label: string;
  kind: string;
  children: ComponentChildren;
}) {
  const element = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const opener = document.activeElement;
    element.current?.showModal();
    return () => {
      if (opener instanceof HTMLElement) opener.focus();
    };
  }, []);
  return (
    <dialog
      class={kind}
      aria-label={label}
      ref={element}
      onClose={closeDialog}
      onPointerDown={(event) => {
        if (event.target === element.current) closeDialog();
      }}
    >
      {children}
    </dialog>
  );
}

/** A dialog with a title and a form. */
export function Sheet({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <Dialog label={title} kind="sheet">
      <header class="bar">
        <h2>{title}</h2>
        <div class="tools">
          <IconButton icon="x" label={t().close} onClick={closeDialog} />
        </div>
      </header>
      <div class="fill">{children}</div>
    </Dialog>
  );
}
