/** A person: a tinted square with initials. Presence is a shape in its corner. */
import type { Presence } from '../../sdk/mod.ts';

/** Spreads ids, which end alike, over the tints (Fibonacci hashing); three bits name one of eight. */
const SPREAD = 0x9e37_79b9_7f4a_7c15n;
const graphemes = new Intl.Segmenter();

export interface AvatarProps {
  readonly user: string;
  readonly name: string;
  readonly size: 16 | 20 | 32 | 36;
  readonly presence?: Presence | undefined;
}

export function Avatar({ user, name, size, presence }: AvatarProps) {
  const on = presence?.status === 'online' ? 'on' : presence?.status === 'idle' ? 'away' : undefined;
  return (
    <span class={`av d${size} ${tintOf(user)}`} data-on={on} aria-hidden="true">
      {initialsOf(name, size < 20 ? 1 : 2)}
    </span>
  );
}

function tintOf(user: string): string {
  if (!/^\d+$/.test(user)) return 'p8';
  return `p${Number(BigInt.asUintN(64, BigInt(user) * SPREAD) >> 61n) + 1}`;
}

function initialsOf(name: string, most: number): string {
  const words = name.split(/[\s._-]+/).filter((word) => /[\p{L}\p{N}]/u.test(word));
  const chosen = words.length > most ? [words[0], words.at(-1)].slice(0, most) : words;
  return chosen.map((word = '') => firstGrapheme(word).toLocaleUpperCase()).join('');
}

function firstGrapheme(text: string): string {
  for (const { segment } of graphemes.segment(text)) return segment;
  return '';
}
