/** What a client can do over a gateway it can do over HTTP, or the reason stands here. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { client, FrameType } from '../proto/mod.ts';
import { CALLS } from './testing/calls.ts';
import { startApi, type TestApi } from './testing/test-api.ts';

/** Calls of REQUEST without a route. */
const CALLS_WITHOUT: Readonly<Record<string, string>> = {
  sync: 'A caller over HTTP holds no cursors for all its conversations: it reads each with GET messages?after=.',
};
/** Frames of a client without a route. */
const FRAMES_WITHOUT: Readonly<Partial<Record<keyof typeof FrameType, string>>> = {
  HELLO: 'Of a connection.',
  AUTH: 'Of a connection.',
  PING: 'Of a connection.',
  RESYNCED: 'Of a connection.',
  CLOSE: 'Of a connection.',
  WATCH: 'It is of a connection; GET /users/presence answers what it answers.',
  RECEIPTS: 'What a connection has got; PUT /rooms/ID/read sets the read cursor, and answers.',
  TYPING: 'It is out of date within seconds, and is shown by connections.',
};
const SERVED_FRAMES = ['REQUEST', 'SEND'];
const FROM_SERVER = [
  'WELCOME',
  'PONG',
  'SENT',
  'NACK',
  'MESSAGE',
  'RESPONSE',
  'RESYNC',
  'MEMBERS_CHANGED',
  'AUTHED',
  'SELF',
  'WATCHED',
  'PRESENCE',
  'READ',
];

let api: TestApi;
let methods: ReadonlySet<string>;
let kinds: ReadonlySet<client.EntryKind>;
beforeAll(async () => {
  api = await startApi({}, 12);
  for (const { method, path, body } of CALLS) await api.call(method, path, body);
  const { asked } = api.state;
  methods = new Set(asked.map(({ method }) => method));
  kinds = new Set(
    asked.filter(({ method }) => method === 'Post').map(({ input }) => (input as client.Send).kind),
  );
});
afterAll(() => api[Symbol.asyncDispose]());

test('each call of REQUEST has a route, or a reason', () => {
  const proto = readFileSync(new URL('../proto/gochat/client/v2/client.proto', import.meta.url), 'utf8');
  const [, oneof = ''] = /oneof call \{([^}]*)\}/.exec(proto) ?? [];
  const all = [...oneof.matchAll(/ (\w+) = \d+;/g)].map(([, name = '']) =>
    name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase()),
  );
  expect(all).toContain('getHistory');
  expect(all.filter((name) => !methods.has(name)).toSorted()).toEqual(Object.keys(CALLS_WITHOUT).toSorted());
});

test('each kind of SEND has a route', () => {
  const sent = Object.values(client.EntryKind).filter((kind) => kind !== client.EntryKind.ENTRY_KIND_SYSTEM);
  expect(kinds).toEqual(new Set(sent));
});

test('each frame of a client has a route, or a reason', () => {
  const without = Object.keys(FrameType).filter(
    (name) => !SERVED_FRAMES.includes(name) && !FROM_SERVER.includes(name),
  );
  expect(without.toSorted()).toEqual(Object.keys(FRAMES_WITHOUT).toSorted());
});
