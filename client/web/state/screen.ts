/** What is open on the screen besides the conversation. */
import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import type { IconName } from '../parts/icon.tsx';

export type Panel = 'members' | 'pins';
export const panel = signal<Panel | undefined>(undefined);

export type DialogName =
  | { readonly name: 'switcher' | 'settings' | 'create-room' }
  | { readonly name: 'remove'; readonly conversation: string; readonly target: number | string }
  | { readonly name: 'leave'; readonly conversation: string };
export const dialog = signal<DialogName | undefined>(undefined);

export interface MenuItem {
  readonly icon: IconName;
  readonly label: ComponentChildren;
  readonly act: () => void;
  readonly isBad?: boolean;
}

export interface OpenMenu {
  readonly label: string;
  readonly items: readonly MenuItem[];
  readonly x: number;
  readonly y: number;
  /** Gets the focus back. */
  readonly opener: HTMLElement | undefined;
}
export const menu = signal<OpenMenu | undefined>(undefined);

/** Opens a menu beside an element, or where the pointer is. */
export function openMenu(label: string, items: readonly MenuItem[], at: HTMLElement | MouseEvent): void {
  if (at instanceof HTMLElement) {
    const { left, bottom } = at.getBoundingClientRect();
    menu.value = { label, items, x: left, y: bottom + 4, opener: at };
  } else {
    at.preventDefault();
    const opener = document.activeElement instanceof HTMLElement ? document.activeElement : undefined;
    menu.value = { label, items, x: at.clientX, y: at.clientY, opener };
  }
}

/** What the composer of a conversation does, if it does not write a new message. */
export type Intent =
  | { readonly kind: 'reply'; readonly seq: number }
  | { readonly kind: 'edit'; readonly target: number | string; readonly text: string };
export const intents = signal<ReadonlyMap<string, Intent>>(new Map());

export function intend(conversation: string, intent: Intent | undefined): void {
  const next = new Map(intents.value);
  if (intent === undefined) next.delete(conversation);
  else next.set(conversation, intent);
  intents.value = next;
}

/** A sentence for who cannot see what has changed. */
export const announcement = signal('');
