import fc from 'fast-check';
import { expect, test } from 'vitest';
import { cutQuote } from '../../proto/client.ts';
import {
  type FoldDraft,
  type FoldEntry,
  type FoldPage,
  readFoldVectors,
} from '../../proto/testing/fold-vectors.ts';
import type { ChatMessage, LogEntry, Quote } from './entries.ts';
import { Fold, type Loading } from './fold.ts';

const vectors = readFoldVectors();

test.each(vectors.flatMap((vector) => vector.clients.map((client, index) => ({ vector, client, index }))))(
  'the golden vectors: $vector.name, client $index',
  ({ vector, client }) => {
    const fold = new Fold();
    const calls = new Map<string, Loading>();
    const call = (name: string) => calls.get(name) as Loading;
    for (const step of client.gets) {
      if ('push' in step) fold.add(pushed(vector.log, step.push));
      else if ('ask' in step) calls.set(step.ask, fold.load());
      else if ('skip' in step) fold.skip(step.skip);
      else if ('sync' in step)
        for (const entry of pageOf(vector.pages[step.sync] as FoldPage, step).entries) fold.add(entry);
      else {
        const page = vector.pages[step.page] as FoldPage;
        const isTaken =
          'pins' in step ? call(step.pins).pins(pinsOf(page)) : call(step.answer).page(pageOf(page, step));
        expect(isTaken).toBe(step.refused !== true);
      }
    }
    expect(fold.shown()).toEqual(client.shows.map(toEntry));
    expect(fold.pinned()).toEqual(client.pins);
  },
);

test('the golden vectors: their pages are those of a plain model of the fold', () => {
  for (const { name, log, pages } of vectors)
    for (const page of pages.filter((each) =>
      Object.keys(each).every((key) => !/visible|left|floor/.test(key)),
    ))
      expect(page.entries.filter(({ kind }) => kind === undefined).map(toEntry), name).toEqual(
        model(log, page.as_of),
      );
});

test('pages and entries, late, early, doubled and cut, with skips: all that is shown is as the whole log has left it', () => {
  fc.assert(
    fc.property(
      fc.array(anyDraft, { minLength: 1, maxLength: 40 }),
      fc.array(fc.nat(), { maxLength: 120 }),
      (raw, choices) => {
        const log = toLog(raw);
        const rest = choices.values();
        const choose = (most: number) => (rest.next().value ?? 0) % (most + 1);
        const fold = new Fold();
        const calls: { since: number; loading: Loading }[] = [];
        const begin = { pushed: 0, shown: 0 };
        let newest = 0;
        const push = (seq: number) => {
          fold.add(pushed(log, seq));
          newest = Math.max(newest, seq);
        };
        for (let turn = 0; turn < choices.length; turn++) {
          const ahead = log.length - begin.pushed;
          const action = choose(9);
          if (action < 4 && ahead > 0) push(++begin.pushed);
          if (action === 4 && begin.pushed > 0) push(1 + choose(begin.pushed - 1));
          if (action === 5 && ahead > 1) push(Math.min(log.length, begin.pushed + 2 + choose(8)));
          if (action === 6) calls.push({ since: newest, loading: fold.load() });
          if (action === 7 && ahead > 0) {
            begin.pushed = begin.shown = begin.pushed + 1 + choose(ahead - 1);
            newest = Math.max(newest, begin.shown);
            fold.skip(begin.shown);
          }
          const [call] = action > 7 ? calls.splice(choose(Math.max(0, calls.length - 1)), 1) : [];
          if (call === undefined) continue;
          const asOf = call.since + choose(log.length - call.since);
          if (action === 8) {
            const from = 1 + choose(asOf);
            call.loading.page(pageAt(log, asOf, from, from + choose(10)));
          } else if (choose(3) === 0) call.loading.cancel();
          else call.loading.pins(pinsAt(log, asOf));
        }
        while (begin.pushed < log.length) push(++begin.pushed);
        const end = model(log, log.length);
        const shown = fold.shown();
        expect(shown).toEqual(end.filter((message) => shown.some(({ seq }) => seq === message.seq)));
        expect(shown).toEqual(expect.arrayContaining(end.filter(({ seq }) => seq > begin.shown)));
        if (fold.pinned() !== undefined) expect(fold.pinned()).toEqual(modelPins(log, log.length).pins);
        expect(fold.load().page(pageAt(log, log.length, 1, Infinity))).toBe(true);
        expect(fold.shown()).toEqual(end);
      },
    ),
    { numRuns: 2_000 },
  );
});

const anyDraft = fc.record({
  kind: fc.constantFrom(
    'message',
    'message',
    'message',
    'edit',
    'edit',
    'retract',
    'range',
    'pin',
    'pin',
    'unpin',
  ),
  by: fc.constantFrom('alice', 'bob'),
  target: fc.nat(60),
  isReply: fc.boolean(),
});

/** Makes a log of drafts that a server accepts: those that it would refuse are messages. */
function toLog(raw: readonly { kind: string; by: string; target: number; isReply: boolean }[]): FoldDraft[] {
  const log: FoldDraft[] = [];
  for (const [index, { kind, by, target: which, isReply }] of raw.entries()) {
    const open = model(log, index).filter(({ retraction }) => retraction === undefined);
    const message = open[which % Math.max(1, open.length)];
    const text = `${index} ${'x'.repeat(which * 10)}`;
    const target = message?.seq ?? 0;
    if (message === undefined) log.push({ by, text });
    else if (kind === 'edit') log.push({ kind, by: message.sender, target, text });
    else if (kind === 'retract') log.push({ kind, by, target });
    else if (kind === 'range')
      log.push({
        kind: 'retract',
        by,
        range: { sender: message.sender, from_seq: target, to_seq: target + 5 },
      });
    else if (kind === 'pin' || kind === 'unpin') log.push({ kind, by, target });
    else log.push({ by, text, ...(isReply && { reply_to: target }) });
  }
  return log;
}

function pageAt(log: readonly FoldDraft[], asOf: number, from: number, to: number) {
  return { asOf, entries: model(log, asOf).filter(({ seq }) => seq >= from && seq <= to) };
}

function pinsAt(log: readonly FoldDraft[], asOf: number) {
  const { pins, pinsVersion } = modelPins(log, asOf);
  const messages = model(log, asOf);
  return {
    pinsVersion,
    pins: pins.map((pin) => ({ message: messages.find(({ seq }) => seq === pin) as ChatMessage })),
  };
}

/** The pins of a log's beginning, by their definition. */
function modelPins(log: readonly FoldDraft[], asOf: number): { pins: number[]; pinsVersion: number } {
  let pins: number[] = [];
  let pinsVersion = 0;
  for (let seq = 1; seq <= asOf; seq++) {
    const { kind, target = 0 } = log[seq - 1] as FoldDraft;
    const before = pins;
    if (kind === 'pin' && !pins.includes(target)) pins = [target, ...pins];
    if (kind === 'unpin') pins = pins.filter((pin) => pin !== target);
    const messages = model(log, seq);
    pins = pins.filter((pin) => messages.find((message) => message.seq === pin)?.retraction === undefined);
    if (kind === 'pin' || kind === 'unpin' || pins.length < before.length) pinsVersion = seq;
  }
  return { pins, pinsVersion };
}

/** The messages of a log's beginning, by its definition: entry after entry, each in the messages before it. */
function model(log: readonly FoldDraft[], asOf: number): ChatMessage[] {
  const messages = new Map<number, ChatMessage>();
  const quoted = new Map<number, number>();
  log
    .slice(0, asOf)
    .forEach(({ kind = 'message', by, text = '', target, range, reply_to, reason = '' }, index) => {
      const seq = index + 1;
      if (kind === 'message') messages.set(seq, toEntry({ seq, by, text }) as ChatMessage);
      if (reply_to !== undefined) quoted.set(seq, reply_to);
      const message = messages.get(target ?? 0);
      if (kind === 'edit' && message !== undefined)
        messages.set(message.seq, { ...message, text, version: seq });
      if (kind !== 'retract') return;
      for (const each of messages.values()) {
        const isHit =
          range === undefined
            ? each === message
            : each.sender === range.sender && each.seq >= range.from_seq && each.seq <= range.to_seq;
        const retraction = { seq, by, atMs: seq, reason };
        if (isHit) messages.set(each.seq, { ...each, text: '', version: seq, retraction });
      }
    });
  return [...messages.values()].map((message) => {
    const target = messages.get(quoted.get(message.seq) ?? 0);
    return target === undefined || message.retraction !== undefined
      ? message
      : { ...message, replyTo: target.seq, quote: quoteOf(target) };
  });
}

function quoteOf({ seq, sender, text, version, retraction }: ChatMessage): Quote {
  const state = retraction === undefined ? 'kept' : 'retracted';
  return { seq, sender, from: sender, ...cutQuote(text), state, version };
}

/** Entry n of a log as it is pushed. */
function pushed(log: readonly FoldDraft[], seq: number): LogEntry {
  const draft = log[seq - 1] as FoldDraft;
  if (draft.reply_to !== undefined)
    return model(log, seq).find((message) => message.seq === seq) as ChatMessage;
  return toEntry({ ...draft, seq });
}

function pageOf(page: FoldPage, { from = 1, to = Infinity }: { from?: number; to?: number }) {
  return {
    asOf: page.as_of,
    entries: page.entries.map(toEntry).filter(({ seq }) => seq >= from && seq <= to),
  };
}

function pinsOf({ entries, pins = [], pins_version: pinsVersion = 0 }: FoldPage) {
  const messages = entries.map(toEntry).filter((entry) => entry.kind === 'message');
  return {
    pinsVersion,
    pins: pins.map((pin) => ({ message: messages.find(({ seq }) => seq === pin) as ChatMessage })),
  };
}

function toEntry(entry: FoldEntry): LogEntry {
  const { seq, kind = 'message', by, text = '', version = 0, target, range, reason = '' } = entry;
  const base = {
    conversation: '1',
    seq,
    id: `${seq}`,
    sender: by,
    from: by,
    clientMsgId: `${seq}`,
    atMs: seq,
  };
  switch (kind) {
    case 'message': {
      const { quote, retraction } = entry;
      return {
        ...base,
        kind,
        text,
        version,
        replyTo: quote?.seq,
        quote: quote && {
          seq: quote.seq,
          sender: quote.by ?? '',
          from: quote.by ?? '',
          text: quote.text ?? '',
          cut: quote.cut ?? false,
          state: quote.expired ? 'expired' : quote.retracted ? 'retracted' : 'kept',
          version: quote.version ?? 0,
        },
        retraction: retraction && { reason: '', ...retraction, atMs: retraction.seq },
      };
    }
    case 'edit':
      return { ...base, kind, text, version: version || seq, target };
    case 'retract': {
      const of = range && { sender: range.sender, fromSeq: range.from_seq, toSeq: range.to_seq };
      return { ...base, kind, target, range: of, reason };
    }
    default:
      return { ...base, kind, target };
  }
}
