/** The menu that is open: by arrow keys, or by the pointer; Escape closes it and gives the focus back. */
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import { menu, type OpenMenu } from '../state/screen.ts';
import { Icon } from './icon.tsx';

const MARGIN = 8;

export function Menu() {
  const open = menu.value;
  return open && <MenuList open={open} />;
}

function MenuList({ open }: { open: OpenMenu }) {
  const list = useRef<HTMLUListElement>(null);
  const close = () => {
    menu.value = undefined;
    open.opener?.focus();
  };
  useLayoutEffect(() => {
    const { current } = list;
    if (current === null) return;
    const { width, height } = current.getBoundingClientRect();
    current.style.left = `${Math.max(MARGIN, Math.min(open.x, innerWidth - width - MARGIN))}px`;
    current.style.top = `${Math.max(MARGIN, Math.min(open.y, innerHeight - height - MARGIN))}px`;
    current.querySelector('button')?.focus();
  }, [open]);
  useEffect(() => {
    const away = (event: Event) => {
      if (event.target instanceof Node && list.current?.contains(event.target)) return;
      menu.value = undefined;
    };
    addEventListener('pointerdown', away);
    addEventListener('resize', close);
    return () => {
      removeEventListener('pointerdown', away);
      removeEventListener('resize', close);
    };
  }, [open]);
  const move = (event: KeyboardEvent) => {
    if (event.key === 'Escape' || event.key === 'Tab') close();
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
    if (event.key !== 'Escape' && step === 0) return;
    event.preventDefault();
    event.stopPropagation();
    const items = [...(list.current?.querySelectorAll('button') ?? [])];
    const at = items.indexOf(document.activeElement as HTMLButtonElement);
    items[(at + step + items.length) % items.length]?.focus();
  };
  return (
    <ul class="menu" role="menu" aria-label={open.label} ref={list} onKeyDown={move}>
      {open.items.map(({ icon, label, act, isBad }) => (
        <li role="none" class={isBad ? 'bad' : undefined}>
          <button
            type="button"
            role="menuitem"
            tabIndex={-1}
            onClick={() => {
              close();
              act();
            }}
          >
            <Icon name={icon} />
            {label}
          </button>
        </li>
      ))}
    </ul>
  );
}
