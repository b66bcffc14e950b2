import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { client } from '../../proto/mod.ts';
import { toMessage } from '../present.ts';
import { Message } from '../schemas/messages.ts';
import { startApi, type TestApi } from '../testing/test-api.ts';
import { ROOM } from '../testing/test-state.ts';

let api: TestApi;
beforeAll(async () => {
  api = await startApi({}, 12);
});
beforeEach(() => void api.state.asked.splice(0));
afterAll(() => api[Symbol.asyncDispose]());

const { EntryKind } = client;
const MESSAGES = `/api/v1/rooms/${ROOM}/messages`;
const AT = { at: '2023-11-14T22:13:20.000Z', at_ms: 1_700_000_000_000 };
const MESSAGE_12 = {
  seq: 12,
  id: String(ROOM + 12n),
  kind: 'message',
  sender: '42',
  from: 'ann',
  client_msg_id: 'c12',
  text: 'message 12',
  ...AT,
  version: 0,
};
const SENT = { seq: 13, id: String(ROOM + 13n), ...AT, duplicate: false };

/** Returns what state was asked to post, without what is empty. */
function posted(): object[] {
  return api.state.asked.map(({ method, key, input }) => {
    expect([method, key]).toEqual(['Post', ROOM]);
    const empty = Object.entries(client.Send.create());
    const fields = Object.entries(input as client.Send);
    return Object.fromEntries(
      fields.filter(([name, value]) => empty.every(([n, v]) => n !== name || v !== value)),
    );
  });
}

describe('GET messages', () => {
  test('the newest page: all parts of a message, ids as strings, and how far the log was', async () => {
    const answer = await api.get(`${MESSAGES}?limit=1`);
    expect(answer.status).toBe(200);
    expect(answer.body).toEqual({
      messages: [MESSAGE_12],
      more: true,
      more_after: false,
      as_of: 12,
      anchor_seq: null,
      floor_seq: 0,
    });
    expect(api.state.asked).toEqual([
      { method: 'getHistory', key: ROOM, input: { at: undefined, limit: 1 } },
    ]);
  });

  test.each([
    ['before=5', { $case: 'beforeSeq', beforeSeq: 5n }],
    ['after=0', { $case: 'afterSeq', afterSeq: 0n }],
    ['after=5', { $case: 'afterSeq', afterSeq: 5n }],
    ['around=5', { $case: 'aroundSeq', aroundSeq: 5n }],
    ['first_unread=true', { $case: 'firstUnread', firstUnread: true }],
    ['date=2025-01-01', { $case: 'dateMs', dateMs: 1_735_689_600_000n }],
    ['date=2025-01-01T01:00:00%2B01:00', { $case: 'dateMs', dateMs: 1_735_689_600_000n }],
    ['date=1901-01-01', { $case: 'dateMs', dateMs: 0n }],
  ])('%s: the page around that point', async (query, point) => {
    expect((await api.get(`${MESSAGES}?${query}`)).status).toBe(200);
    expect(api.state.asked.at(-1)?.input).toEqual({ at: { point }, limit: 50 });
  });

  test('a point that was found: its seq, and whether there are newer ones', async () => {
    const { body } = await api.get(`${MESSAGES}?around=5&limit=3`);
    expect(body).toMatchObject({ anchor_seq: 5, more: true, more_after: true });
  });

  test.each([
    'before=0',
    'before=x',
    'before=-1',
    'before=1e20',
    'after=-1',
    'around=0',
    'around=1.5',
    'first_unread=yes',
    'date=yesterday',
    'date=2025-13-01',
    'date=1735689600000',
    'limit=0',
    'limit=201',
    'before=5&after=2',
    'around=5&date=2025-01-01',
  ])('%s: 400 ARGUMENT_INVALID, state is not asked', async (query) => {
    const answer = await api.get(`${MESSAGES}?${query}`);
    expect([answer.status, answer.body.code]).toEqual([400, 'ARGUMENT_INVALID']);
    expect(answer.body.message).toContain('querystring');
    expect(api.state.asked).toEqual([]);
  });
});

describe('GET of one message', () => {
  test('one that is there: 200', async () => {
    const answer = await api.get(`${MESSAGES}/12`);
    expect([answer.status, answer.body]).toEqual([200, MESSAGE_12]);
  });

  test('one that is not: 404 TARGET_NOT_FOUND', async () => {
    const answer = await api.get(`${MESSAGES}/13`);
    expect([answer.status, answer.body.code]).toEqual([404, 'TARGET_NOT_FOUND']);
  });

  test.each(['0', '-1', 'x', '1e20', '%20'])('%s is no seq: 400 ARGUMENT_INVALID', async (seq) => {
    for (const answer of [
      await api.get(`${MESSAGES}/${seq}`),
      await api.call('PATCH', `${MESSAGES}/${seq}`, { text: 'x' }),
      await api.delete(`${MESSAGES}/${seq}`),
      await api.put(`${MESSAGES}/${seq}/pin`, undefined),
    ]) {
      expect([answer.status, answer.body.code]).toEqual([400, 'ARGUMENT_INVALID']);
      expect(answer.body.message).toContain('params.seq');
    }
    expect(api.state.asked).toEqual([]);
  });
});

describe('sending', () => {
  test('a message, a reply and a repeated one: 201 with their place in the log', async () => {
    const answers = [
      await api.post(MESSAGES, { text: 'hi', client_msg_id: 'a' }),
      await api.post(MESSAGES, { text: 'so I said', reply_to: 7, client_msg_id: 'b' }),
      await api.post(MESSAGES, { text: 'hi', client_msg_id: 'again' }),
    ];
    expect(answers.map(({ status, body }) => [status, body])).toEqual([
      [201, { ...SENT, client_msg_id: 'a' }],
      [201, { ...SENT, client_msg_id: 'b' }],
      [201, { ...SENT, client_msg_id: 'again', duplicate: true }],
    ]);
    expect(posted()).toEqual([
      { clientMsgId: 'a', text: 'hi' },
      { clientMsgId: 'b', text: 'so I said', replyTo: 7n },
      { clientMsgId: 'again', text: 'hi' },
    ]);
  });

  test('Idempotency-Key: the same request has the same client_msg_id, another one its own', async () => {
    const headers = { 'idempotency-key': 'k' };
    await api.post(MESSAGES, { text: 'hi' }, headers);
    await api.post(MESSAGES, { text: 'hi' }, headers);
    await api.post(MESSAGES, { text: 'hi' }, { 'idempotency-key': 'other' });
    await api.post(MESSAGES, { text: 'hi', client_msg_id: 'a' }, headers);
    await api.call('PATCH', `${MESSAGES}/7`, { text: 'ho' }, headers);
    await api.call('DELETE', `${MESSAGES}/7`, undefined, headers);
    await api.post(`/api/v1/rooms/${ROOM}/retractions`, { user: '43', from_seq: 1, to_seq: 2 }, headers);
    await api.put(`${MESSAGES}/7/pin`, undefined, headers);
    await api.delete(`${MESSAGES}/7/pin`, headers);
    const [first, again, ...others] = posted().map((send) => (send as client.Send).clientMsgId);
    expect(again).toBe(first);
    expect(new Set([first, ...others]).size).toBe(8);
    expect(others[1]).toBe('a');
  });

  test('neither: each gets an id of its own', async () => {
    const ids = new Set<string>();
    for (let n = 0; n < 3; n++) ids.add((await api.post(MESSAGES, { text: 'hi' })).body.client_msg_id);
    expect([...ids].every((id) => /^[\w-]{1,64}$/.test(id))).toBe(true);
    expect(ids.size).toBe(3);
  });

  test('edit, retract, retract a range, pin, unpin: what was given is passed on', async () => {
    const answers = [
      await api.call('PATCH', `${MESSAGES}/7`, { text: 'ho' }),
      await api.delete(`${MESSAGES}/7`),
      await api.call('DELETE', `${MESSAGES}/7`, { reason: 'spam' }),
      await api.post(`/api/v1/rooms/${ROOM}/retractions`, {
        user: '43',
        from_seq: 3,
        to_seq: 9,
        reason: 'spam',
      }),
      await api.put(`${MESSAGES}/7/pin`, undefined),
      await api.delete(`${MESSAGES}/7/pin`),
    ];
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 201, 200, 200]);
    for (const { body } of answers) expect(body).toMatchObject(SENT);
    const clientMsgId = expect.any(String);
    expect(posted()).toEqual([
      { clientMsgId, kind: EntryKind.ENTRY_KIND_EDIT, target: 7n, text: 'ho' },
      { clientMsgId, kind: EntryKind.ENTRY_KIND_RETRACT, target: 7n },
      { clientMsgId, kind: EntryKind.ENTRY_KIND_RETRACT, target: 7n, reason: 'spam' },
      {
        clientMsgId,
        kind: EntryKind.ENTRY_KIND_RETRACT,
        range: { sender: 43n, fromSeq: 3n, toSeq: 9n },
        reason: 'spam',
      },
      { clientMsgId, kind: EntryKind.ENTRY_KIND_PIN, target: 7n },
      { clientMsgId, kind: EntryKind.ENTRY_KIND_UNPIN, target: 7n },
    ]);
  });

  test("state's refusals: their codes and statuses", async () => {
    const codes = [
      await api.post('/api/v1/rooms/8/messages', { text: 'hi' }),
      await api.post(MESSAGES, { text: '' }),
      await api.post(MESSAGES, { text: 'hi', client_msg_id: '' }),
      await api.post(MESSAGES, { text: 'hi', reply_to: 9 }),
      await api.call('PATCH', `${MESSAGES}/8`, { text: 'ho' }),
    ].map(({ status, body }) => [status, body.code]);
    expect(codes).toEqual([
      [403, 'NOT_A_MEMBER'],
      [400, 'TEXT_EMPTY'],
      [400, 'CLIENT_MSG_ID_INVALID'],
      [410, 'TARGET_RETRACTED'],
      [403, 'NOT_AUTHOR'],
    ]);
  });

  test.each([
    ['POST', '', {}],
    ['POST', '', { text: 7 }],
    ['POST', '', { text: 'hi', reply_to: 0 }],
    ['POST', '', { text: 'hi', reply_to: '7' }],
    ['POST', '', { text: 'hi', reply_to: 2 ** 53 }],
    ['POST', '', { text: 'hi', client_msg_id: 7 }],
    ['POST', '', { text: 'hi', client_msg_id: 'x'.repeat(300) }],
    ['POST', '', { text: 'hi', attachments: [] }],
    ['PATCH', '/7', { text: 'hi', attachments: [] }],
    ['PATCH', '/7', {}],
    ['PATCH', '/7', { text: null }],
    ['DELETE', '/7', { reason: 7 }],
    ['POST', '/../retractions', { user: 43, from_seq: 1, to_seq: 2 }],
    ['POST', '/../retractions', { user: 'bob', from_seq: 1, to_seq: 2 }],
    ['POST', '/../retractions', { user: '43', to_seq: 2 }],
    ['POST', '/../retractions', { user: '43', from_seq: -1, to_seq: 2 }],
  ])('%s %s %j: 400 ARGUMENT_INVALID, state is not asked', async (method, path, body) => {
    const answer = await api.call(method, MESSAGES + path, body);
    expect([answer.status, answer.body.code]).toEqual([400, 'ARGUMENT_INVALID']);
    expect(answer.body.message).toContain('body');
    expect(api.state.asked).toEqual([]);
  });

  test('the longest text of the default limit, all of it control characters: passed on', async () => {
    const text = '\u0001'.repeat(16_384);
    expect((await api.post(MESSAGES, { text })).status).toBe(201);
    expect(posted()).toMatchObject([{ text }]);
  });
});

test('GET pins: pages, the newest first', async () => {
  const { body } = await api.get(`/api/v1/rooms/${ROOM}/pins`);
  expect(body).toMatchObject({
    pins: [{ message: { seq: 2, text: 'message 2' }, by: '42', ...AT }],
    pins_version: 7,
    next: expect.any(String) as string,
  });
  expect((await api.get(`/api/v1/rooms/${ROOM}/pins?after=${body.next}`)).body.next).toBeNull();
  expect(api.state.asked.map(({ input }) => input)).toEqual([{ after: '' }, { after: '2' }]);
});

describe('entries in JSON', () => {
  const entry = (fields: Partial<client.Message>) => {
    const message = client.Message.create({ seq: 12n, id: 1n, sender: 42n, from: 'ann', ...fields });
    const json = toMessage(message);
    // What the schema does not know would be left out of answers.
    expect(Message.parse(json)).toEqual(json);
    const common = ['seq', 'id', 'sender', 'from', 'client_msg_id', 'at', 'at_ms'];
    return Object.fromEntries(Object.entries(json).filter(([name]) => !common.includes(name)));
  };
  const atMs = 1_700_000_000_000n;

  test('an edited reply', () => {
    const quote = {
      seq: 3n,
      sender: 43n,
      from: 'Bob',
      text: 'hi',
      cut: true,
      retracted: false,
      expired: false,
      version: 5n,
    };
    expect(entry({ text: 'yes', version: 13n, quote })).toEqual({
      kind: 'message',
      text: 'yes',
      version: 13,
      quote: { ...quote, seq: 3, sender: '43', version: 5 },
    });
  });

  test('a reply to what is no longer kept', () => {
    const quote = client.Quote.create({ seq: 3n, expired: true });
    expect(entry({ text: 'yes', quote })['quote']).toEqual({
      seq: 3,
      text: '',
      cut: false,
      retracted: false,
      expired: true,
      version: 0,
    });
  });

  test('a tombstone', () => {
    const retraction = { seq: 14n, by: 43n, atMs, reason: 'spam' };
    expect(entry({ version: 14n, retraction })).toEqual({
      kind: 'message',
      text: '',
      version: 14,
      retraction: { seq: 14, by: '43', ...AT, reason: 'spam' },
    });
  });

  test('an edit, a bare pin, a retraction of a range', () => {
    expect(entry({ kind: EntryKind.ENTRY_KIND_EDIT, target: 3n, text: 'ho', version: 9n })).toEqual({
      kind: 'edit',
      text: 'ho',
      version: 9,
      target: 3,
    });
    expect(entry({ kind: EntryKind.ENTRY_KIND_PIN, bare: true })).toEqual({
      kind: 'pin',
      text: '',
      version: 0,
      bare: true,
    });
    const range = { sender: 43n, fromSeq: 3n, toSeq: 9n };
    expect(entry({ kind: EntryKind.ENTRY_KIND_RETRACT, range, reason: 'spam' })).toEqual({
      kind: 'retract',
      text: '',
      version: 0,
      range: { sender: '43', from_seq: 3, to_seq: 9 },
      reason: 'spam',
    });
  });

  test('what the server recorded; kinds and events of a newer server are unknown', () => {
    const event = client.SystemEvent.SYSTEM_EVENT_ROLE;
    const system = client.System.create({ event, user: 43n, name: 'Bob', role: client.Role.ROLE_OWNER });
    expect(entry({ kind: EntryKind.ENTRY_KIND_SYSTEM, system })).toEqual({
      kind: 'system',
      text: '',
      version: 0,
      system: { event: 'role', user: '43', name: 'Bob', role: 'owner' },
    });
    const later = { ...system, event: 99 as client.SystemEvent, role: 0 as client.Role };
    expect(entry({ kind: 99 as client.EntryKind, system: later })).toMatchObject({
      kind: 'unknown',
      system: { event: 'unknown', user: '43', name: 'Bob' },
    });
  });
});
