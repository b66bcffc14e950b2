/**
 * The Markdown of messages: a tree that clients draw as they can, never HTML.
 *
 * Blocks: paragraphs (a new line is a line break), code between fences, quotes, lists. Within them: **strong**, *emphasis*,
 * ~~strike~~, `code`, [links](https://…), bare addresses, <@ID> for people. What is not understood is text. Time is linear in
 * the length.
 */

export type Inline =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'code'; readonly text: string }
  | { readonly kind: 'break' }
  | { readonly kind: 'strong' | 'emphasis' | 'strike'; readonly children: readonly Inline[] }
  | { readonly kind: 'link'; readonly url: string; readonly children: readonly Inline[] }
  /** User id. */
  | { readonly kind: 'mention'; readonly user: string };

export type Block =
  | { readonly kind: 'paragraph'; readonly children: readonly Inline[] }
  | { readonly kind: 'code'; readonly text: string }
  | { readonly kind: 'quote'; readonly children: readonly Block[] }
  | {
      readonly kind: 'list';
      readonly isOrdered: boolean;
      readonly start: number;
      readonly items: readonly (readonly Inline[])[];
    };

/** Deeper ones are text. */
const MAX_DEPTH = 6;
const FENCE = /^\s{0,3}(```+|~~~+)[^`]*$/;
const QUOTE = /^\s{0,3}> ?/;
const ITEM = /^\s{0,3}(?:[-*+]|(\d{1,9})[.)])\s+/;
const URL_AT = /https?:\/\/[^\s<>"]+/y;
const MENTION_AT = /<@(\d{1,20})>/y;
const ANGLE_AT = /<((?:https?:\/\/|mailto:)[^\s<>]+)>/y;
const ESCAPABLE = /[!-/:-@[-`{-~]/;
const WORD = /[\p{L}\p{N}_]/u;
const DELIMITERS = [
  ['**', 'strong'],
  ['__', 'strong'],
  ['~~', 'strike'],
  ['*', 'emphasis'],
  ['_', 'emphasis'],
] as const;

export function parseMarkdown(text: string): readonly Block[] {
  return parseBlocks(text.replaceAll('\r\n', '\n').split('\n'), 0);
}

/** Returns an address that is safe to open, else undefined: http, https and mailto alone. */
export function safeUrl(url: string): string | undefined {
  if (!URL.canParse(url)) return undefined;
  const { protocol, href } = new URL(url);
  return ['http:', 'https:', 'mailto:'].includes(protocol) ? href : undefined;
}

function parseBlocks(lines: readonly string[], depth: number): readonly Block[] {
  const blocks: Block[] = [];
  let paragraph: string[] = [];
  const flush = () => {
    if (paragraph.length > 0)
      blocks.push({ kind: 'paragraph', children: parseInlines(paragraph.join('\n'), 0) });
    paragraph = [];
  };
  for (let i = 0; i < lines.length; ) {
    const line = lines[i] as string;
    const fence = FENCE.exec(line)?.[1];
    if (fence !== undefined) {
      flush();
      const end = lines.findIndex((each, at) => at > i && each.trim().startsWith(fence));
      const last = end === -1 ? lines.length : end;
      blocks.push({ kind: 'code', text: lines.slice(i + 1, last).join('\n') });
      i = last + 1;
    } else if (QUOTE.test(line) && depth < MAX_DEPTH) {
      flush();
      const quoted = takeWhile(lines, i, (each) => QUOTE.test(each));
      blocks.push({
        kind: 'quote',
        children: parseBlocks(
          quoted.map((each) => each.replace(QUOTE, '')),
          depth + 1,
        ),
      });
      i += quoted.length;
    } else if (ITEM.test(line)) {
      flush();
      const number = ITEM.exec(line)?.[1];
      const isOrdered = number !== undefined;
      const items = takeWhile(lines, i, (each) => {
        const item = ITEM.exec(each);
        return item !== null && (item[1] !== undefined) === isOrdered;
      });
      const start = Number(number ?? 1);
      blocks.push({
        kind: 'list',
        isOrdered,
        start,
        items: items.map((each) => parseInlines(each.replace(ITEM, ''), 0)),
      });
      i += items.length;
    } else {
      if (line.trim() === '') flush();
      else paragraph.push(line);
      i++;
    }
  }
  flush();
  return blocks;
}

function takeWhile(
  lines: readonly string[],
  from: number,
  accept: (line: string) => boolean,
): readonly string[] {
  let end = from;
  while (end < lines.length && accept(lines[end] as string)) end++;
  return lines.slice(from, end);
}

function parseInlines(text: string, depth: number): readonly Inline[] {
  const found: Inline[] = [];
  /** Delimiters that nothing closes from here on. */
  const unclosed = new Set<string>();
  let plain = '';
  const push = (inline: Inline, length: number): number => {
    if (plain !== '') found.push({ kind: 'text', text: plain });
    plain = '';
    found.push(inline);
    return length;
  };
  for (let i = 0; i < text.length; ) {
    const char = text[i] as string;
    let length = 0;
    if (char === '\\' && ESCAPABLE.test(text[i + 1] ?? '')) {
      plain += text[i + 1];
      length = 2;
    } else if (char === '\n') length = push({ kind: 'break' }, 1);
    else if (char === '`') {
      const span = codeAt(text, i, unclosed);
      if (span !== undefined) length = push({ kind: 'code', text: span.text }, span.length);
    } else if (char === '<') {
      const mention = matchAt(MENTION_AT, text, i);
      const url = matchAt(ANGLE_AT, text, i);
      if (mention !== undefined)
        length = push({ kind: 'mention', user: mention[1] as string }, mention[0].length);
      else if (url !== undefined) length = pushLink(url[1] as string, url[0].length, push);
    } else if (char === '[' && depth < MAX_DEPTH) {
      const link = linkAt(text, i, unclosed);
      if (link !== undefined) {
        const children = parseInlines(link.text, MAX_DEPTH);
        length = push({ kind: 'link', url: link.url, children }, link.length);
      }
    } else if (char === 'h' && !WORD.test(text[i - 1] ?? '')) {
      const url = matchAt(URL_AT, text, i)?.[0];
      if (url !== undefined) length = pushLink(trimUrl(url), trimUrl(url).length, push);
    } else if (depth < MAX_DEPTH) {
      const span = spanAt(text, i, unclosed);
      if (span !== undefined)
        length = push({ kind: span.kind, children: parseInlines(span.text, depth + 1) }, span.length);
    }
    if (length === 0) {
      plain += char;
      length = 1;
    }
    i += length;
  }
  if (plain !== '') found.push({ kind: 'text', text: plain });
  return found;
}

function pushLink(url: string, length: number, push: (inline: Inline, length: number) => number): number {
  const safe = safeUrl(url);
  if (safe === undefined) return 0;
  return push({ kind: 'link', url: safe, children: [{ kind: 'text', text: url }] }, length);
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text) ?? undefined;
}

/** Leaves out what ends a sentence rather than an address. */
function trimUrl(url: string): string {
  let end = url.length;
  const isOpen = (upTo: number) =>
    url.slice(0, upTo).split('(').length > url.slice(0, upTo).split(')').length - 1;
  while (end > 0) {
    const last = url[end - 1] as string;
    if (!/[.,:;!?'*_~\])]/.test(last) || (last === ')' && isOpen(end - 1))) break;
    end--;
  }
  return url.slice(0, end);
}

function codeAt(text: string, at: number, unclosed: Set<string>) {
  let end = at;
  while (text[end] === '`') end++;
  const ticks = text.slice(at, end);
  if (unclosed.has(ticks)) return undefined;
  const close = text.indexOf(ticks, end);
  if (close === -1) {
    unclosed.add(ticks);
    return undefined;
  }
  return { text: text.slice(end, close).replace(/^ (.+) $/, '$1'), length: close + ticks.length - at };
}

function linkAt(text: string, at: number, unclosed: Set<string>) {
  if (unclosed.has('](')) return undefined;
  const middle = text.indexOf('](', at);
  const end = middle === -1 ? -1 : text.indexOf(')', middle);
  if (end === -1) {
    unclosed.add('](');
    return undefined;
  }
  const label = text.slice(at + 1, middle);
  const url = safeUrl(text.slice(middle + 2, end).trim());
  if (url === undefined || label.trim() === '' || /[[\]\n]/.test(label)) return undefined;
  return { text: label, url, length: end + 1 - at };
}

function spanAt(text: string, at: number, unclosed: Set<string>) {
  for (const [mark, kind] of DELIMITERS) {
    if (!text.startsWith(mark, at) || unclosed.has(mark)) continue;
    const from = at + mark.length;
    const isInWord = mark.startsWith('_') && WORD.test(text[at - 1] ?? '');
    if (isInWord || /^\s?$/.test(text[from] ?? '')) continue;
    const close = closeOf(text, from, mark);
    if (close === -1) unclosed.add(mark);
    else return { kind, text: text.slice(from, close), length: close + mark.length - at };
  }
  return undefined;
}

/** Returns where a span ends; -1: nowhere. */
function closeOf(text: string, from: number, mark: string): number {
  const char = mark[0] as string;
  for (let close = text.indexOf(mark, from + 1); close !== -1; close = text.indexOf(mark, close + 1)) {
    const before = text[close - 1] as string;
    const after = text[close + mark.length] ?? '';
    // A single mark is not half of a double one.
    const isHalf = mark.length === 1 && (before === char || after === char);
    const isInWord = char === '_' && WORD.test(after);
    if (!/\s/.test(before) && !isHalf && !isInWord) return close;
  }
  return -1;
}
