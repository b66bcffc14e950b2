/** Tests of docs/protocol.md on entries: kinds, folding, tombstones, bare entries, pins, quotes, pages of the log. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { conversation, roomOf } from './answers.ts';
import { newUser, startSystem, type System } from './system.ts';
import { type Frame, WireClient } from './wire-client.ts';

let system: System;
/** Tokens of users that all tests share; each test makes rooms of its own. Ann owns them. */
let annToken: string;
let bobToken: string;
let ann: WireClient & { readonly welcome: Frame };
let bob: WireClient & { readonly welcome: Frame };

beforeAll(async () => {
  // Longer than any test: the connections that are shared send no PING.
  system = await startSystem(['--heartbeat-interval-ms', '600000']);
  [annToken, bobToken] = [await newUser(system, 'ann'), await newUser(system, 'bob')];
  ann = await WireClient.hello(system, annToken);
  bob = await WireClient.hello(system, bobToken, { wire: 'tcp' });
});

afterAll(() => system[Symbol.asyncDispose]());

const EDIT = (target: unknown, text: string) => ({ kind: 'ENTRY_KIND_EDIT', target, text });
const RETRACT = (target: unknown, reason = '') => ({ kind: 'ENTRY_KIND_RETRACT', target, reason });
const PIN = (target: unknown) => ({ kind: 'ENTRY_KIND_PIN', target });
const UNPIN = (target: unknown) => ({ kind: 'ENTRY_KIND_UNPIN', target });

/** Sends an entry that is committed, and returns its seq. */
async function put(client: WireClient, id: string, fields: Frame): Promise<string> {
  const sent = await client.put(id, fields);
  expect(sent).toMatchObject({ type: 'SENT' });
  return sent['seq'] as string;
}

/** A room of Ann's that Bob has joined after these texts: `seqs` are theirs, and the join is the entry after them. */
async function sharedRoom(texts: readonly string[], hidesHistory = false) {
  const room = await roomOf(ann, texts, hidesHistory);
  conversation(await bob.ask({ join_room: { room: room.name } }));
  return { ...room, seqs: texts.map((_, i) => String(i + 1)) };
}

/** Returns the entry as it is pushed. */
function pushed(client: WireClient, id: string, seq: string): Promise<Frame> {
  return client.next('MESSAGE', (frame) => frame['key'] === id && frame['seq'] === seq);
}

async function history(client: WireClient, id: string, call: Frame = {}): Promise<Frame> {
  const answer = await client.ask({ get_history: call }, id);
  expect(answer).toMatchObject({ type: 'RESPONSE' });
  return answer['history'] as Frame;
}

async function entries(client: WireClient, id: string, call: Frame = {}): Promise<readonly Frame[]> {
  return (await history(client, id, call))['messages'] as readonly Frame[];
}

/** Returns an entry as a page has it. */
async function read(client: WireClient, id: string, seq: string): Promise<Frame | undefined> {
  return (await entries(client, id)).find((entry) => entry['seq'] === seq);
}

async function syncPage(client: WireClient, call: Frame, id: string): Promise<Frame | undefined> {
  const { conversations } = (await client.ask({ sync: call }))['sync'] as { conversations: readonly Frame[] };
  return conversations.find((one) => (one['conversation'] as Frame)['id'] === id);
}

function seqsIn(page: Frame = {}): readonly number[] {
  return (page['messages'] as readonly Frame[]).map(({ seq }) => Number(seq));
}

describe('folding', () => {
  test('EDIT: pushed as it is; a page has its target folded, and the edit with the text of its target', async () => {
    const { id } = await sharedRoom(['helo', 'other']);
    const first = await put(ann, id, EDIT('1', 'hello'));
    expect(await pushed(bob, id, first)).toMatchObject({
      kind: 'ENTRY_KIND_EDIT',
      target: '1',
      text: 'hello',
      version: first,
      bare: false,
    });
    const second = await put(ann, id, EDIT('1', 'hello!'));
    const page = await history(bob, id);
    expect(page['as_of']).toBe(second);
    const folded = { text: 'hello!', version: second };
    expect(page['messages']).toMatchObject([
      { seq: '1', kind: 'ENTRY_KIND_MESSAGE', ...folded },
      { seq: '2', version: '0' },
      { seq: '3', kind: 'ENTRY_KIND_SYSTEM' },
      { seq: first, kind: 'ENTRY_KIND_EDIT', target: '1', ...folded },
      { seq: second, kind: 'ENTRY_KIND_EDIT', target: '1', ...folded },
    ]);
    const synced = await syncPage(bob, { cursors: [{ conversation: id, seq: first }] }, id);
    expect(synced).toMatchObject({ after_seq: first, as_of: second, messages: [{ seq: second, ...folded }] });
  });

  test('EDIT and RETRACT in flight with their message: name it by client_msg_id, and SENT tells its seq', async () => {
    const { id } = await sharedRoom([]);
    const target = { client_msg_id: 'mine-1', target_client_msg_id: 'mine-0' };
    bob.send({ type: 'SEND', ref: 1, key: id, client_msg_id: 'mine-0', text: 'helo' });
    bob.send({ type: 'SEND', ref: 2, key: id, kind: 'ENTRY_KIND_EDIT', text: 'hello', ...target });
    bob.send({
      type: 'SEND',
      ref: 3,
      key: id,
      kind: 'ENTRY_KIND_RETRACT',
      ...target,
      client_msg_id: 'mine-2',
    });
    const sent = async (name: string) => bob.next('SENT', (frame) => frame['client_msg_id'] === name);
    const { seq } = await sent('mine-0');
    expect(await sent('mine-1')).toMatchObject({ target: seq });
    expect(await sent('mine-2')).toMatchObject({ target: seq });
    expect(await read(ann, id, seq as string)).toMatchObject({
      text: '',
      retraction: { by: bob.welcome['user'] },
    });
    await using other = await WireClient.hello(system, bobToken);
    const unknown = { kind: 'ENTRY_KIND_EDIT', target_client_msg_id: 'mine-9', text: 'x' };
    expect(await other.put(id, unknown)).toMatchObject({ code: 'TARGET_NOT_FOUND', retryable: false });
  });

  test('a duplicate: is answered with SENT whatever has happened since, and changes nothing', async () => {
    const { id } = await sharedRoom(['a']);
    const edit = { ...EDIT('1', 'b'), client_msg_id: 'twice' };
    const seq = await put(ann, id, edit);
    await put(ann, id, RETRACT('1'));
    expect(await ann.put(id, edit)).toMatchObject({ type: 'SENT', seq, duplicate: true });
    expect(await read(ann, id, '1')).toMatchObject({ text: '', retraction: {} });
  });
});

describe('tombstones', () => {
  test('RETRACT: no page has the text or an edit of it any more; who, when and why stay', async () => {
    const { id } = await sharedRoom(['secret']);
    const edit = await put(ann, id, EDIT('1', 'still secret'));
    const seq = await put(ann, id, RETRACT('1', 'a mistake'));
    expect(await pushed(bob, id, seq)).toMatchObject({
      kind: 'ENTRY_KIND_RETRACT',
      target: '1',
      reason: 'a mistake',
    });
    const tombstone = {
      seq,
      by: ann.welcome['user'],
      reason: 'a mistake',
      at_ms: expect.any(String) as string,
    };
    expect(await read(bob, id, '1')).toMatchObject({ text: '', version: seq, retraction: tombstone });
    expect(await read(bob, id, edit)).toMatchObject({ kind: 'ENTRY_KIND_EDIT', text: '' });
    expect(JSON.stringify(await history(bob, id))).not.toContain('secret');
  });

  test('a range: takes the messages of one sender below its own seq, those retracted before too', async () => {
    const { id } = await sharedRoom(['mine']);
    const [one, two] = [await put(bob, id, { text: 'spam 1' }), await put(bob, id, { text: 'spam 2' })];
    await put(bob, id, RETRACT(one));
    const range = { sender: bob.welcome['user'], from_seq: '1', to_seq: '9007199254740991' };
    const seq = await put(ann, id, { kind: 'ENTRY_KIND_RETRACT', range, reason: 'spam' });
    expect(await pushed(bob, id, seq)).toMatchObject({ target: '0', range, reason: 'spam' });
    const later = await put(bob, id, { text: 'sorry' });
    const page = await entries(bob, id);
    const state = (of: string) => page.find((entry) => entry['seq'] === of);
    for (const each of [one, two])
      expect(state(each)).toMatchObject({ text: '', retraction: { seq, reason: 'spam' } });
    expect(state('1')).toMatchObject({ text: 'mine', version: '0' });
    expect(state(later)).toMatchObject({ text: 'sorry', version: '0' });
  });

  test('a former member: keeps the texts of then, and sees later retractions', async () => {
    const { id } = await sharedRoom(['as it was', 'to be retracted']);
    await bob.ask({ leave_room: {} }, id);
    await put(ann, id, EDIT('1', 'as it is'));
    const seq = await put(ann, id, RETRACT('2'));
    const page = await entries(bob, id);
    expect(page).toMatchObject([
      { seq: '1', text: 'as it was', version: '0' },
      { seq: '2', text: '', retraction: { seq } },
      { seq: '3', kind: 'ENTRY_KIND_SYSTEM' },
    ]);
    expect(page).toHaveLength(3);
  });
});

describe('refusals', () => {
  /** Each is sent on a connection of its own: a refusal holds up what follows. */
  async function codeOf(token: string, id: string, fields: Frame): Promise<unknown> {
    await using client = await WireClient.hello(system, token);
    const answer = await client.put(id, fields);
    expect(answer).toMatchObject({ type: 'NACK', retryable: false });
    return answer['code'];
  }

  test('of what is said about a message: the codes of the page', async () => {
    const { id, seqs } = await sharedRoom(['of ann', 'gone']);
    const [mine, gone] = seqs as [string, string];
    const bobs = await put(bob, id, { text: 'of bob' });
    const edit = await put(ann, id, EDIT(mine, 'edited'));
    await put(ann, id, RETRACT(gone));
    const other = await roomOf(ann, ['elsewhere', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j']);
    const refused: readonly (readonly [string, Frame, string])[] = [
      [annToken, EDIT('1000', 'x'), 'TARGET_NOT_FOUND'],
      [annToken, { text: 'a reply', reply_to: '1000' }, 'TARGET_NOT_FOUND'],
      [annToken, EDIT(edit, 'x'), 'TARGET_INVALID'],
      [annToken, RETRACT('3'), 'TARGET_INVALID'],
      [annToken, EDIT(gone, 'x'), 'TARGET_RETRACTED'],
      [annToken, PIN(gone), 'TARGET_RETRACTED'],
      [annToken, { text: 'a reply', reply_to: gone }, 'TARGET_RETRACTED'],
      [bobToken, EDIT(mine, 'x'), 'NOT_AUTHOR'],
      [annToken, EDIT(bobs, 'x'), 'NOT_AUTHOR'],
      [bobToken, RETRACT(mine), 'ROLE_TOO_LOW'],
      [bobToken, PIN(bobs), 'ROLE_TOO_LOW'],
      [bobToken, UNPIN(bobs), 'ROLE_TOO_LOW'],
      [annToken, EDIT(mine, ''), 'TEXT_EMPTY'],
      [annToken, { ...PIN(mine), text: 'x' }, 'ARGUMENT_INVALID'],
      [annToken, { ...EDIT(mine, 'x'), target_client_msg_id: 'y' }, 'ARGUMENT_INVALID'],
      [annToken, { kind: 'ENTRY_KIND_PIN', target_client_msg_id: 'y' }, 'ARGUMENT_INVALID'],
      [annToken, { kind: 'ENTRY_KIND_EDIT', text: 'x' }, 'ARGUMENT_INVALID'],
      [annToken, { kind: 'ENTRY_KIND_SYSTEM', text: 'x' }, 'ARGUMENT_INVALID'],
      [annToken, { text: 'x', reason: 'y' }, 'ARGUMENT_INVALID'],
      [annToken, RETRACT(mine, 'x'.repeat(301)), 'ARGUMENT_INVALID'],
    ];
    for (const [token, fields, code] of refused)
      expect([fields, await codeOf(token, id, fields)]).toEqual([fields, code]);
    expect(await codeOf(bobToken, other.id, EDIT('1', 'x'))).toBe('NOT_A_MEMBER');
  });

  test('of ranges: those that are none', async () => {
    const { id } = await sharedRoom(['a']);
    const sender = ann.welcome['user'];
    for (const range of [
      { sender, from_seq: '0', to_seq: '1' },
      { sender, from_seq: '2', to_seq: '1' },
      { sender: '0', from_seq: '1', to_seq: '1' },
    ])
      expect(await codeOf(annToken, id, { kind: 'ENTRY_KIND_RETRACT', range })).toBe('ARGUMENT_INVALID');
    const ofAnn = { sender, from_seq: '1', to_seq: '1' };
    expect(await codeOf(bobToken, id, { kind: 'ENTRY_KIND_RETRACT', range: ofAnn })).toBe('ROLE_TOO_LOW');
  });

  test('a final NACK: holds nothing up, and is the answer to each repetition', async () => {
    const { id } = await sharedRoom(['a']);
    await using client = await WireClient.hello(system, bobToken);
    const edit = { kind: 'ENTRY_KIND_EDIT', target_client_msg_id: 'b', text: 'c', client_msg_id: 'early' };
    expect(await client.put(id, edit)).toMatchObject({ code: 'TARGET_NOT_FOUND' });
    expect(await client.say(id, 'b', 'b')).toMatchObject({ type: 'SENT' });
    expect(await client.put(id, edit)).toMatchObject({ code: 'TARGET_NOT_FOUND' });
    expect(await client.put(id, { ...edit, client_msg_id: 'later' })).toMatchObject({ type: 'SENT' });
    expect(client.frames.filter(({ type }) => type === 'RESYNC')).toEqual([]);
  });

  test('in a direct conversation: each retracts own messages alone, and both pin', async () => {
    const id = conversation(await ann.ask({ open_direct: { user_name: 'bob' } }))['id'] as string;
    const [hers, his] = [await put(ann, id, { text: 'hers' }), await put(bob, id, { text: 'his' })];
    expect(await codeOf(annToken, id, RETRACT(his))).toBe('ROLE_TOO_LOW');
    await put(ann, id, PIN(his));
    await put(bob, id, PIN(hers));
    await put(bob, id, RETRACT(his));
    const { pins } = (await ann.ask({ list_pins: {} }, id))['pins'] as { pins: readonly Frame[] };
    expect(pins).toMatchObject([{ message: { seq: hers } }]);
  });
});

describe('bare entries', () => {
  test('an edit, a pin, a retraction and a reply about what a member may not read: say nothing of it', async () => {
    const { id } = await sharedRoom(['before bob'], true);
    const told = async (fields: Frame) => pushed(bob, id, await put(ann, id, fields));
    const nothing = { bare: true, target: '0', reason: '' };
    expect(await told(EDIT('1', 'hidden'))).toMatchObject({ kind: 'ENTRY_KIND_EDIT', text: '', ...nothing });
    expect(await told(PIN('1'))).toMatchObject({ kind: 'ENTRY_KIND_PIN', ...nothing });
    const reply = await told({ text: 'as I said', reply_to: '1' });
    expect(reply).toMatchObject({ text: 'as I said', ...nothing });
    expect(reply['quote']).toBeUndefined();
    expect(await told(RETRACT('1', 'hidden'))).toMatchObject({ kind: 'ENTRY_KIND_RETRACT', ...nothing });
    const page = await entries(bob, id);
    expect(page.map((entry) => entry['bare'])).toEqual([true, true, true, true]);
    expect(JSON.stringify(page)).not.toMatch(/before bob|hidden/);
    expect(await read(ann, id, '3')).toMatchObject({ kind: 'ENTRY_KIND_EDIT', target: '1', bare: false });
    expect((await bob.ask({ list_pins: {} }, id))['pins']).toMatchObject({ pins: [] });
    await using client = await WireClient.hello(system, bobToken);
    expect(await client.put(id, { text: 'what?', reply_to: '1' })).toMatchObject({
      code: 'TARGET_NOT_FOUND',
    });
  });
});

describe('quotes and pins', () => {
  test('a quote: as its message is when it is read, cut to 280 characters, and gone with it', async () => {
    const { id } = await sharedRoom(['tea?']);
    const seq = await put(bob, id, { text: 'yes', reply_to: '1' });
    const quote = { seq: '1', sender: ann.welcome['user'], from: 'ann', cut: false, version: '0' };
    expect(await pushed(ann, id, seq)).toMatchObject({ text: 'yes', quote: { ...quote, text: 'tea?' } });
    const edit = await put(ann, id, EDIT('1', 'x'.repeat(281)));
    expect((await read(ann, id, seq))?.['quote']).toMatchObject({
      text: 'x'.repeat(280),
      cut: true,
      version: edit,
    });
    const retract = await put(ann, id, RETRACT('1'));
    expect((await read(ann, id, seq))?.['quote']).toMatchObject({
      text: '',
      retracted: true,
      expired: false,
      version: retract,
    });
  });

  test('pins: the newest first; a second pin moves pins_version alone, and a retraction unpins', async () => {
    const { id, seqs } = await sharedRoom(['a', 'b']);
    const pins = async () => (await bob.ask({ list_pins: {} }, id))['pins'] as Frame;
    expect(await pins()).toEqual({ pins: [], pins_version: '0', next: '' });
    for (const seq of seqs) await put(ann, id, PIN(seq));
    const again = await put(ann, id, PIN('1'));
    const page = await pins();
    expect(page).toMatchObject({
      pins_version: again,
      pins: [
        { message: { seq: '2', text: 'b' }, by: ann.welcome['user'] },
        { message: { seq: '1', text: 'a' }, by: ann.welcome['user'] },
      ],
    });
    expect(conversation(await bob.ask({ get_conversation: {} }, id))['pins_version']).toBe(again);
    await put(ann, id, UNPIN('2'));
    const last = await put(ann, id, RETRACT('1'));
    expect(await pins()).toMatchObject({ pins: [], pins_version: last });
  });
});

describe('SYSTEM and what counts', () => {
  test('joining, a role, a removal: entries of who did it, without client_msg_id', async () => {
    const { id } = await sharedRoom([]);
    const joined = { kind: 'ENTRY_KIND_SYSTEM', client_msg_id: '', text: '', sender: bob.welcome['user'] };
    expect(await pushed(ann, id, '1')).toMatchObject({
      ...joined,
      system: { event: 'SYSTEM_EVENT_JOINED', user: bob.welcome['user'], name: 'bob' },
    });
    await ann.ask({ set_role: { user: 'bob', role: 'ROLE_MODERATOR' } }, id);
    expect(await pushed(bob, id, '2')).toMatchObject({
      sender: ann.welcome['user'],
      system: { event: 'SYSTEM_EVENT_ROLE', user: bob.welcome['user'], role: 'ROLE_MODERATOR' },
    });
    await ann.ask({ remove_member: { user: 'bob' } }, id);
    expect(await read(ann, id, '3')).toMatchObject({
      sender: ann.welcome['user'],
      system: { event: 'SYSTEM_EVENT_REMOVED', user: bob.welcome['user'] },
    });
    expect((await entries(bob, id)).map(({ seq }) => seq)).toEqual(['1', '2']);
  });

  test('unread, the last message and the place in the list: messages alone count', async () => {
    const { id, seqs } = await sharedRoom(['a', 'x'.repeat(101)]);
    const before = conversation(await bob.ask({ get_conversation: {} }, id));
    expect(before).toMatchObject({ unread: '2', last_seq: '3' });
    await put(ann, id, EDIT(seqs[0], 'b'));
    await put(ann, id, PIN(seqs[0]));
    expect(conversation(await bob.ask({ get_conversation: {} }, id))).toMatchObject({
      unread: '2',
      last_seq: '5',
      active_at_ms: before['active_at_ms'],
    });
    const { conversations } = (await bob.ask({ list_conversations: {} }))['conversations'] as {
      conversations: readonly Frame[];
    };
    expect(conversations.find((one) => one['id'] === id)).toMatchObject({
      last_message: { seq: '2', text: 'x'.repeat(100) },
    });
    const read2 = { type: 'RECEIPTS', receipts: [{ conversation: id, read_seq: '1' }] };
    bob.send(read2);
    await expect
      .poll(async () => conversation(await bob.ask({ get_conversation: {} }, id)))
      .toMatchObject({ read_seq: '1', unread: '1' });
  });
});

describe('pages', () => {
  test('history: at each point, with what lies on either side', async () => {
    const { id } = await sharedRoom(['1', '2', '3', '4', '5', '6', '7']);
    const page = async (at: Frame, limit = 3) => {
      const { messages, more, more_after: after, anchor_seq: anchor } = await history(bob, id, { at, limit });
      const seqs = (messages as readonly Frame[]).map(({ seq }) => Number(seq));
      return [seqs, more, after, anchor];
    };
    expect(await page({ before_seq: '0' })).toEqual([[6, 7, 8], true, false, '0']);
    expect(await page({ before_seq: '3' })).toEqual([[1, 2], false, true, '0']);
    expect(await page({ after_seq: '5' })).toEqual([[6, 7, 8], true, false, '0']);
    expect(await page({ after_seq: '0' })).toEqual([[1, 2, 3], false, true, '0']);
    const [around, older, newer, anchor] = await page({ around_seq: '4' });
    expect([older, newer, anchor]).toEqual([true, true, '4']);
    expect(around).toContain(4);
    expect(around).toHaveLength(3);
    bob.send({ type: 'RECEIPTS', receipts: [{ conversation: id, read_seq: '5' }] });
    await expect.poll(async () => (await page({ first_unread: true }))[3]).toBe('6');
    const { at_ms: then } = (await read(bob, id, '1')) as Frame;
    expect((await page({ date_ms: then }))[3]).toBe('1');
    expect(await page({ date_ms: '9007199254740991' })).toEqual([[6, 7, 8], true, false, '0']);
  });

  test('sync: newest skips what lies between, ranges of ids take their conversations alone', async () => {
    const [one, two] = [await sharedRoom(['1', '2', '3', '4', '5']), await sharedRoom(['1'])];
    const [low, high] = [one.id, two.id].toSorted((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1)) as [
      string,
      string,
    ];
    const cursors = [one.id, two.id].map((conversation_) => ({ conversation: conversation_, seq: '1' }));
    const skipped = await syncPage(bob, { cursors, newest: 2 }, one.id);
    expect(skipped).toMatchObject({ after_seq: '4', as_of: '6' });
    expect(seqsIn(skipped)).toEqual([5, 6]);
    const all = await syncPage(bob, { cursors }, one.id);
    expect(all).toMatchObject({ after_seq: '1' });
    expect(seqsIn(all)).toEqual([2, 3, 4, 5, 6]);
    for (const [range, there, away] of [
      [{ until: low }, low, high],
      [{ after: low }, high, low],
    ] as const) {
      expect(await syncPage(bob, { cursors, ...range }, there)).toBeDefined();
      expect(await syncPage(bob, { cursors, ...range }, away)).toBeUndefined();
    }
  });

  test('lists: next leads through all of it, each item once', async () => {
    const token = await newUser(system, 'lister');
    await using lister = await WireClient.hello(system, token);
    const rooms = [await roomOf(lister, ['a']), await roomOf(lister, ['b']), await roomOf(lister, ['c'])];
    for (const client of [ann, bob]) await client.ask({ join_room: { room: rooms[0]?.name } });
    const all = async (call: string, list: string, item: string, key = '0', limit = 1) => {
      const found: unknown[] = [];
      for (let after = '', turn = 0; turn === 0 || after !== ''; turn++) {
        const page = (await lister.ask({ [call]: { after, limit } }, key))[list] as Frame;
        found.push(...(page[item] as readonly Frame[]).map((each) => each['id'] ?? each['user']));
        after = page['next'] as string;
      }
      return found;
    };
    // By descending activity; joining is none.
    expect(await all('list_conversations', 'conversations', 'conversations')).toEqual(
      rooms.toReversed().map(({ id }) => id),
    );
    const first = rooms[0] as { id: string };
    expect(await all('get_members', 'members', 'members', first.id)).toEqual([
      ann.welcome['user'],
      bob.welcome['user'],
      lister.welcome['user'],
    ]);
    expect((await lister.ask({ get_members: {} }, first.id))['members']).toMatchObject({
      count: 3,
      next: '',
    });
    const listed = await all('list_rooms', 'rooms', 'rooms', '0', 200);
    expect(listed).toEqual(expect.arrayContaining(rooms.map(({ id }) => id)));
    expect(new Set(listed).size).toBe(listed.length);
  });
});

describe('names', () => {
  test('a display name: is shown from then on, and looked up by id; none is the handle', async () => {
    const token = await newUser(system, 'dodo');
    await using dodo = await WireClient.hello(system, token);
    const id = conversation(await dodo.ask({ open_direct: { user_name: 'ann' } }))['id'] as string;
    const set = await dodo.ask({ set_profile: { display_name: '  Dodo \u00a0 the Bird ' } });
    const user = { id: dodo.welcome['user'], name: 'dodo', display_name: 'Dodo the Bird' };
    expect(set['users']).toEqual({ users: [user] });
    const seq = await put(dodo, id, { text: 'hello' });
    expect(await pushed(ann, id, seq)).toMatchObject({ from: 'Dodo the Bird' });
    for (const ids of [[user.id, '4242'], [user.id]])
      expect((await ann.ask({ get_users: { users: ids } }))['users']).toEqual({ users: [user] });
    expect((await dodo.ask({ get_users: {} }))['users']).toEqual({ users: [user] });
    for (const name of ['\u202eevil', 'x'.repeat(65)])
      expect(await dodo.ask({ set_profile: { display_name: name } })).toMatchObject({
        code: 'DISPLAY_NAME_INVALID',
      });
    await using again = await WireClient.hello(system, token);
    expect(again.welcome).toMatchObject({ user_name: 'dodo', display_name: 'Dodo the Bird' });
    expect((await again.ask({ set_profile: {} }))['users']).toEqual({
      users: [{ ...user, display_name: 'dodo' }],
    });
  });
});
