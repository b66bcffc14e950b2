/** docs/protocol.md itself: what it shows is what the code has. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { CATALOGUE, type ErrorCode } from '../../common/mod.ts';
import { EntryKind, frameFromJson, frameToJson } from '../../proto/client.ts';
import { encode, type Frame } from './wire-client.ts';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const page = read('docs/protocol.md');

/** Returns the text under a heading, up to the next one of the same or a higher level. */
function section(heading: string): string {
  const level = heading.split(' ')[0] as string;
  const [, text] = page.split(`\n${heading}\n`);
  if (text === undefined) throw new Error(`docs/protocol.md has no heading "${heading}"`);
  return text.split(new RegExp(`\n#{1,${level.length}} `))[0] as string;
}

/** Returns the frames of one side in the exchange that the page begins with, those in full. */
function shownFrames(arrow: '→' | '←'): readonly Frame[] {
  const lines = section('## A whole exchange').matchAll(new RegExp(`^ {4}${arrow} (\\{.*\\})$`, 'gm'));
  const whole = [...lines].map(([, json]) => json as string).filter((json) => !json.includes(',…'));
  return whole.map((json) => JSON.parse(json) as Frame);
}

test('the exchange: each line is a frame as client or server writes it', () => {
  const types = ['HELLO', 'REQUEST', 'REQUEST', 'SEND', 'RECEIPTS', 'SEND', 'PING', 'CLOSE'];
  expect(shownFrames('→').map(({ type }) => type)).toEqual(types);
  for (const frame of shownFrames('→'))
    expect(frameFromJson(JSON.stringify(frame))).toBeInstanceOf(Uint8Array);
  expect(shownFrames('←').map(({ type }) => type)).toEqual(['RESPONSE', 'SENT', 'MESSAGE', 'SENT', 'PONG']);
  for (const frame of shownFrames('←')) expect(JSON.parse(frameToJson(encode(frame)))).toEqual(frame);
});

test('the SEND: its bytes and its JSON are the same frame', () => {
  const shown = section('## A whole exchange').matchAll(/^ {4}((?:[0-9a-f]{2} )+) /gm);
  const hex = [...shown].map(([, bytes]) => bytes).join('');
  const send = shownFrames('→').find(({ type }) => type === 'SEND') as Frame;
  expect(hex.replaceAll(' ', '')).toBe(Buffer.from(encode(send)).toString('hex'));
});

test('the table of CLOSE: each code that ends a connection, with its status and whether to retry', () => {
  const rows = section('## Closing and reconnecting').matchAll(/^\| ([A-Z_]+) \| (\d+) \| (yes|no)/gm);
  const shown = [...rows].map(([, code, status, retry]) => [code, Number(status), retry === 'yes']);
  const closing = Object.entries(CATALOGUE as Record<ErrorCode, { close?: number; retryable: boolean }>)
    .filter(([, { close }]) => close !== undefined)
    .map(([code, { close, retryable }]) => [code, close, retryable]);
  const byStatus = (a: readonly unknown[], b: readonly unknown[]) => Number(a[1]) - Number(b[1]);
  expect(shown).toEqual(closing.toSorted(byStatus));
});

test('the tables of payloads: each call and each field of HELLO, WELCOME, sync, a conversation and a point is there', () => {
  const proto = read('proto/gochat/client/v2/client.proto');
  const tables = {
    Hello: '## Handshake',
    Welcome: '## Handshake',
    Request: '## Requests',
    Sync: '### Sync',
    Conversation: '### Where a conversation begins',
    HistoryPoint: '### History',
  };
  for (const [message, heading] of Object.entries(tables)) {
    const body = new RegExp(`^message ${message} \\{$([^]*?)^\\}$`, 'm').exec(proto)?.[1] ?? '';
    const fields = [...body.matchAll(/(\w+) = \d+;/g)].map(([, name]) => name as string);
    const firstCells = [...section(heading).matchAll(/^\| ([^|]*) \|/gm)].map(([, cell]) => cell).join(' ');
    expect(fields.length).toBeGreaterThan(0);
    expect(fields.filter((field) => !firstCells.includes(`\`${field}\``))).toEqual([]);
  }
});

test('the tables of entries: each kind, and each code that refuses one for good', () => {
  const kinds = section('## The log of entries');
  for (const kind of Object.keys(EntryKind))
    expect(kinds).toMatch(new RegExp(`^\\| [^|]*\\b${kind.slice('ENTRY_KIND_'.length)}\\b`, 'm'));
  const refusals = section('## Sending');
  const codes: readonly ErrorCode[] = [
    'NOT_A_MEMBER',
    'TARGET_NOT_FOUND',
    'TARGET_EXPIRED',
    'TARGET_INVALID',
    'TARGET_RETRACTED',
    'NOT_AUTHOR',
    'ROLE_TOO_LOW',
    'EDIT_TOO_LATE',
    'PINS_FULL',
    'RANGES_FULL',
    'MESSAGE_UNSTORABLE',
  ];
  const shown = [...refusals.matchAll(/^\| ([A-Z_]+) \|/gm)].map(([, code]) => code as string);
  expect(shown.filter((code) => codes.some((each) => each === code))).toEqual(codes);
});
