/** Times as people read them, in the language of the page. */
import { t } from './texts.ts';

const formats = new Map<string, Intl.DateTimeFormat>();

function format(name: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${t().language} ${name}`;
  // The language of the texts, with the customs of the browser's region.
  const locale = navigator.languages.find((tag) => tag.startsWith(t().language)) ?? t().language;
  const made = formats.get(key) ?? new Intl.DateTimeFormat(locale, options);
  formats.set(key, made);
  return made;
}

export function timeOf(ms: number): string {
  return format('time', { hour: '2-digit', minute: '2-digit' }).format(ms);
}

export function fullTimeOf(ms: number): string {
  return format('full', { dateStyle: 'full', timeStyle: 'short' }).format(ms);
}

/** Today, yesterday, or the date. */
export function dayOf(ms: number, nowMs = Date.now()): string {
  const days = dayNumber(nowMs) - dayNumber(ms);
  if (days === 0) return t().today;
  if (days === 1) return t().yesterday;
  const isFar = new Date(ms).getFullYear() !== new Date(nowMs).getFullYear();
  const options: Intl.DateTimeFormatOptions = { weekday: 'long', day: 'numeric', month: 'long' };
  if (isFar) options.year = 'numeric';
  return format(`day ${isFar}`, options).format(ms);
}

/** The time of today, else the day. */
export function momentOf(ms: number): string {
  return dayNumber(ms) === dayNumber(Date.now()) ? timeOf(ms) : dayOf(ms);
}

/** Number of the day in the local calendar. */
export function dayNumber(ms: number): number {
  const date = new Date(ms);
  return Math.round(Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) / 86_400_000);
}
