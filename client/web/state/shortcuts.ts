/** Keys that work everywhere: Ctrl-K goes anywhere, F6 goes round the parts of the page, Escape closes the panel. */
import { useEffect } from 'preact/hooks';
import { dialog, menu, panel } from './screen.ts';

/** The parts, in the order of F6. */
const PARTS = [
  '.side .conv[tabindex="0"], .side .jump',
  '.log .msg[tabindex="0"]',
  '.panel .ib',
  '.compose textarea',
];

export function useShortcuts(): void {
  useEffect(() => {
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);
}

function onKey(event: KeyboardEvent): void {
  if (event.key.toLowerCase() === 'k' && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    dialog.value = { name: 'switcher' };
  } else if (event.key === 'F6') {
    event.preventDefault();
    goRound(event.shiftKey ? -1 : 1);
  } else if (event.key === 'Escape' && panel.value !== undefined && dialog.value === undefined) {
    if (menu.value === undefined && !event.defaultPrevented) panel.value = undefined;
  }
}

function goRound(step: number): void {
  const targets = PARTS.map((part) => document.querySelector<HTMLElement>(part));
  const areas = ['.side', '.scroll', '.panel', '.compose'];
  const at = areas.findIndex((area) => document.activeElement?.closest(area) !== null);
  for (let i = 1; i <= targets.length; i++) {
    const target = targets[(at + step * i + 2 * targets.length) % targets.length];
    if (target === null || target === undefined) continue;
    target.focus();
    return;
  }
}
