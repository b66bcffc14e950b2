/** Everything that is said over HTTP, on a real system; a client on a gateway sees it. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { signup, startUp } from '../harness/gochat.ts';
import { RawClient, tokenOf } from '../harness/raw-client.ts';
import { client, encodeFrame, framePayload, FrameType } from '../../proto/mod.ts';

// oxlint-disable-next-line typescript/no-explicit-any -- answers have many shapes.
type Body = any;

describe('REST of gochat up', () => {
  let folder: string;
  let system: Awaited<ReturnType<typeof startUp>>;
  const tokens = new Map<string, string>();
  const ids = new Map<string, string>();

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gochat-rest-'));
    system = await startUp(folder, ['--no-demo']);
    for (const name of ['ann', 'bob', 'cid']) {
      await signup(system, name);
      tokens.set(name, await tokenOf(system, name, `${name}-secret`));
      ids.set(name, (await http(name, 'GET', '/users/me'))[1].id);
    }
  }, 120_000);
  afterAll(async () => {
    await system?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  async function http(
    by: string,
    method: string,
    path: string,
    body?: object,
    headers: Record<string, string> = {},
  ): Promise<[status: number, body: Body]> {
    const response = await fetch(`${system.api}/api/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${tokens.get(by)}`,
        ...(body && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body && { body: JSON.stringify(body) }),
    });
    return [response.status, await response.json()];
  }

  /** Makes a room of ann, whom the others join; returns its path. */
  async function room(name: string, ...others: string[]): Promise<string> {
    const [status, made] = await http('ann', 'POST', '/rooms', { name });
    expect(status).toBe(201);
    for (const other of others) expect((await http(other, 'POST', `/rooms/${made.id}/join`))[0]).toBe(200);
    return `/rooms/${made.id}`;
  }

  async function say(by: string, path: string, text: string, more: object = {}): Promise<number> {
    const [status, sent] = await http(by, 'POST', `${path}/messages`, { text, ...more });
    expect([status, sent]).toEqual([201, expect.objectContaining({ duplicate: false })]);
    return sent.seq;
  }

  const texts = async (by: string, path: string, query = '') =>
    (await http(by, 'GET', `${path}/messages?${query}`))[1].messages
      .filter((entry: Body) => entry.kind === 'message')
      .map((entry: Body) => entry.text);

  test('Idempotency-Key: one key is one request of its user, whatever it asks for', async () => {
    const path = await room('keyed', 'bob');
    const key = { 'idempotency-key': 'k1' };
    const [status, first] = await http('ann', 'POST', `${path}/messages`, { text: 'one' }, key);
    expect([status, first.duplicate]).toEqual([201, false]);
    const again = await http('ann', 'POST', `${path}/messages`, { text: 'one' }, key);
    expect(again).toEqual([201, { ...first, duplicate: true }]);
    const others: [string, string, object?][] = [
      ['POST', `${path}/messages`, { text: 'two' }],
      ['PATCH', `${path}/messages/${first.seq}`, { text: 'one' }],
      ['PUT', `${path}/messages/${first.seq}/pin`],
      ['POST', '/rooms', { name: 'once-more' }],
    ];
    for (const [method, target, body] of others)
      expect(await http('ann', method, target, body, key)).toMatchObject([
        422,
        { code: 'IDEMPOTENCY_KEY_REUSED' },
      ]);
    expect((await http('bob', 'POST', `${path}/messages`, { text: 'two' }, key))[0]).toBe(201);
    expect(await texts('ann', path)).toEqual(['one', 'two']);
    // What is refused for good leaves its key free.
    const free = { 'idempotency-key': 'k2' };
    expect((await http('ann', 'POST', `${path}/messages`, { text: '' }, free))[0]).toBe(400);
    expect((await http('ann', 'POST', `${path}/messages`, { text: 'three' }, free))[0]).toBe(201);
  });

  test('what the caller may not know of: the same 404 as what does not exist', async () => {
    const [, direct] = await http('bob', 'POST', '/conversations', { user: 'cid' });
    expect(direct).toMatchObject({ kind: 'direct', name: 'cid' });
    const secret = await say('bob', `/rooms/${direct.id}`, 'psst');
    for (const [method, tail, body] of [
      ['GET', ''],
      ['GET', '/messages'],
      ['GET', `/messages/${secret}`],
      ['GET', '/members'],
      ['POST', '/messages', { text: 'hi' }],
      ['PUT', '/mute'],
    ] as const) {
      const [hidden, none] = [
        await http('ann', method, `/rooms/${direct.id}${tail}`, body),
        await http('ann', method, `/rooms/12345${tail}`, body),
      ];
      expect([tail, ...hidden]).toMatchObject([tail, 404, { code: 'ROOM_NOT_FOUND' }]);
      const said = ({ message }: Body) => message.replace(/\d+/, 'ID');
      expect([none[0], said(none[1])]).toEqual([hidden[0], said(hidden[1])]);
    }
    const open = await room('open');
    expect(await http('cid', 'GET', open)).toMatchObject([403, { code: 'NOT_A_MEMBER' }]);
  });

  test('PUT read: moves the cursor of the caller', async () => {
    const path = await room('read', 'bob');
    const seq = await say('ann', path, 'hi');
    expect((await http('bob', 'GET', path))[1].unread).toBe(1);
    expect(await http('bob', 'PUT', `${path}/read`, { seq })).toMatchObject([
      200,
      { unread: 0, read_seq: seq },
    ]);
    const back = { seq: seq - 1, epoch: 1 };
    expect(await http('bob', 'PUT', `${path}/read`, back)).toMatchObject([200, { unread: 1, read_epoch: 1 }]);
    expect(await http('bob', 'PUT', `${path}/read`, { seq })).toMatchObject([
      409,
      { code: 'CURSOR_EPOCH_OLD' },
    ]);
    expect(await http('ann', 'GET', path)).toMatchObject([200, { unread: 0 }]);
  });

  test('send, edit, answer, retract: the page is folded, each entry in its place', async () => {
    const path = await room('fold', 'bob');
    const first = await say('ann', path, 'helo');
    const [, edit] = await http('ann', 'PATCH', `${path}/messages/${first}`, { text: 'hello' });
    const reply = await say('bob', path, 'hi', { reply_to: first });
    const gone = await say('bob', path, 'oops');
    const [, retract] = await http('bob', 'DELETE', `${path}/messages/${gone}`, { reason: 'typo' });
    const [status, page] = await http('bob', 'GET', `${path}/messages`);
    expect(status).toBe(200);
    const { messages, ...rest } = page;
    expect(rest).toEqual({
      more: false,
      more_after: false,
      as_of: retract.seq,
      anchor_seq: null,
      floor_seq: 0,
    });
    expect(messages.filter(({ kind }: Body) => kind !== 'system')).toMatchObject([
      { seq: first, kind: 'message', from: 'ann', text: 'hello', version: edit.seq },
      { seq: edit.seq, kind: 'edit', target: first, text: 'hello', version: edit.seq },
      { seq: reply, kind: 'message', text: 'hi', quote: { seq: first, text: 'hello', version: edit.seq } },
      {
        seq: gone,
        kind: 'message',
        text: '',
        retraction: { seq: retract.seq, by: ids.get('bob'), reason: 'typo' },
      },
      { seq: retract.seq, kind: 'retract', target: gone, reason: 'typo' },
    ]);
    for (const { seq, ...entry } of messages)
      expect(await http('bob', 'GET', `${path}/messages/${seq}`)).toEqual([200, { seq, ...entry }]);
    expect(await http('bob', 'GET', `${path}/messages/${retract.seq + 1}`)).toMatchObject([
      404,
      { code: 'TARGET_NOT_FOUND' },
    ]);
  });

  test('a key that was used: the entry that is there, once; without one each request is an entry', async () => {
    const path = await room('once');
    const key = { 'idempotency-key': 'only-once' };
    const [, first] = await http('ann', 'POST', `${path}/messages`, { text: 'one' }, key);
    const [status, again] = await http('ann', 'POST', `${path}/messages`, { text: 'one' }, key);
    expect([status, again]).toEqual([201, { ...first, duplicate: true }]);
    await say('ann', path, 'two');
    await say('ann', path, 'two');
    expect(await texts('ann', path)).toEqual(['one', 'two', 'two']);
  });

  test('a page at any point', async () => {
    const path = await room('points', 'bob');
    const seqs: number[] = [];
    for (let n = 0; n < 6; n++) seqs.push(await say('ann', path, `m${n}`));
    const [, , third, fourth] = seqs as [number, number, number, number];
    expect(await texts('bob', path, `before=${third}`)).toEqual(['m0', 'm1']);
    expect(await texts('bob', path, `after=${fourth}`)).toEqual(['m4', 'm5']);
    const [, around] = await http('bob', 'GET', `${path}/messages?around=${third}&limit=3`);
    expect(around).toMatchObject({ anchor_seq: third, more: true, more_after: true });
    expect(around.messages.map(({ seq }: Body) => seq)).toEqual([third - 1, third, third + 1]);
    // Bob has read nothing.
    expect(await http('bob', 'GET', `${path}/messages?first_unread=true`)).toMatchObject([
      200,
      { anchor_seq: seqs[0] },
    ]);
    const [, message] = await http('bob', 'GET', `${path}/messages/${fourth}`);
    const [, byDate] = await http('bob', 'GET', `${path}/messages?date=${message.at}`);
    expect(byDate.messages.find(({ seq }: Body) => seq === byDate.anchor_seq).at_ms).toBe(message.at_ms);
  });

  test('who may: strangers, members, moderators and authors', async () => {
    const path = await room('rights', 'bob');
    const seq = await say('ann', path, 'mine');
    const refusals = async (by: string) => {
      const answers = [
        await http(by, 'GET', `${path}/messages`),
        await http(by, 'POST', `${path}/messages`, { text: 'hi' }),
        await http(by, 'PATCH', `${path}/messages/${seq}`, { text: 'yours' }),
        await http(by, 'DELETE', `${path}/messages/${seq}`),
        await http(by, 'PUT', `${path}/messages/${seq}/pin`),
      ];
      return answers.map(([status, { code }]) => code ?? status);
    };
    expect(await refusals('cid')).toEqual(Array.from({ length: 5 }, () => 'NOT_A_MEMBER'));
    expect(await refusals('bob')).toEqual([200, 201, 'NOT_AUTHOR', 'ROLE_TOO_LOW', 'ROLE_TOO_LOW']);
    expect(await http('ann', 'PUT', `${path}/members/bob`, { role: 'moderator' })).toEqual([
      200,
      { status: 'ok' },
    ]);
    // A moderator acts on lower ranks alone.
    expect(await refusals('bob')).toEqual([200, 201, 'NOT_AUTHOR', 'ROLE_TOO_LOW', 200]);
    expect(await texts('ann', path)).toEqual(['mine', 'hi', 'hi']);
  });

  test('pins: the newest first, gone when unpinned or retracted', async () => {
    const path = await room('pins');
    const [one, two, three] = [
      await say('ann', path, 'one'),
      await say('ann', path, 'two'),
      await say('ann', path, 'three'),
    ];
    for (const seq of [one, two, three])
      expect((await http('ann', 'PUT', `${path}/messages/${seq}/pin`))[0]).toBe(200);
    const pinned = async () => {
      const [, { pins, pins_version }] = await http('ann', 'GET', `${path}/pins`);
      return [pins.map(({ message }: Body) => message.text), pins_version];
    };
    expect((await pinned())[0]).toEqual(['three', 'two', 'one']);
    const [, unpin] = await http('ann', 'DELETE', `${path}/messages/${two}/pin`);
    expect(await pinned()).toEqual([['three', 'one'], unpin.seq]);
    await http('ann', 'DELETE', `${path}/messages/${three}`);
    expect((await pinned())[0]).toEqual(['one']);
    expect((await http('ann', 'GET', path))[1].pins_version).toBeGreaterThan(unpin.seq);
  });

  test('a range of one user: hidden at once, others stay', async () => {
    const path = await room('range', 'bob');
    const first = await say('bob', path, 'spam 1');
    await say('ann', path, 'stop that');
    const last = await say('bob', path, 'spam 2');
    await say('bob', path, 'sorry');
    const range = { user: ids.get('bob'), from_seq: first, to_seq: last, reason: 'spam' };
    expect(
      (await http('bob', 'POST', `${path}/retractions`, { ...range, user: ids.get('ann') }))[1].code,
    ).toBe('ROLE_TOO_LOW');
    expect((await http('ann', 'POST', `${path}/retractions`, range))[0]).toBe(201);
    expect(await texts('bob', path)).toEqual(['', 'stop that', '', 'sorry']);
  });

  test('lists: conversations by activity with their last message, members, public rooms', async () => {
    const [one, two] = [await room('list-one', 'bob', 'cid'), await room('list-two', 'bob')];
    await say('ann', one, 'in one');
    await say('ann', two, 'in two');
    await say('ann', one, 'in one again');
    const listed: Body[] = [];
    for (let after = ''; ; ) {
      const [, page] = await http('bob', 'GET', `/conversations?limit=1${after}`);
      listed.push(...page.conversations);
      if (page.next === null) break;
      after = `&after=${encodeURIComponent(page.next)}`;
    }
    expect(new Set(listed.map(({ id }) => id)).size).toBe(listed.length);
    expect(listed.slice(0, 2)).toMatchObject([
      { name: 'list-one', unread: 2, last_message: { text: 'in one again', from: 'ann' } },
      { name: 'list-two', unread: 1, last_message: { text: 'in two' } },
    ]);
    const [, first] = await http('bob', 'GET', `${one}/members?limit=2`);
    const [, rest] = await http(
      'bob',
      'GET',
      `${one}/members?limit=2&after=${encodeURIComponent(first.next)}`,
    );
    expect([...first.members, ...rest.members].map(({ name, role }: Body) => [name, role])).toEqual([
      ['ann', 'owner'],
      ['bob', 'member'],
      ['cid', 'member'],
    ]);
    expect([first.count, rest.next]).toEqual([3, null]);
    const [, { rooms }] = await http('cid', 'GET', '/rooms?scope=public&limit=200');
    expect(rooms.filter(({ name }: Body) => name.startsWith('list-'))).toMatchObject([
      { name: 'list-one', joined: true, members: 3 },
      { name: 'list-two', joined: false, members: 2 },
    ]);
    for (const query of ['/conversations?after=nonsense', '/rooms?scope=public&after=nonsense'])
      expect(await http('bob', 'GET', query)).toMatchObject([400, { code: 'ARGUMENT_INVALID' }]);
  });

  test('a display name: by id, in pages and in pushes, without a change of what was said', async () => {
    const path = await room('names', 'bob');
    await say('cid', await room('names-of-cid', 'cid'), 'x');
    const before = await say('bob', path, 'before');
    await using reader = new RawClient(system.gateway);
    await reader.hello(tokens.get('ann') as string);
    expect(await http('bob', 'PATCH', '/users/me', { display_name: '  Böb   🌱 ' })).toMatchObject([
      200,
      { name: 'bob', display_name: 'Böb 🌱' },
    ]);
    expect(await http('ann', 'GET', `/users?ids=${ids.get('bob')},77`)).toEqual([
      200,
      { users: [{ id: ids.get('bob'), name: 'bob', display_name: 'Böb 🌱' }] },
    ]);
    expect((await http('ann', 'GET', `${path}/messages/${before}`))[1]).toMatchObject({
      from: 'Böb 🌱',
      version: 0,
    });
    const after = await say('bob', path, 'after');
    const pushed = framePayload(await reader.frame(FrameType.MESSAGE));
    expect(client.Message.decode(pushed)).toMatchObject({ seq: BigInt(after), from: 'Böb 🌱' });
    expect(await http('bob', 'PATCH', '/users/me', { display_name: 'a\u202eb' })).toMatchObject([
      400,
      { code: 'DISPLAY_NAME_INVALID' },
    ]);
    expect((await http('bob', 'PATCH', '/users/me', { display_name: null }))[1].display_name).toBe('bob');
  });

  test('a direct conversation takes the same calls', async () => {
    await using raw = new RawClient(system.gateway);
    await raw.hello(tokens.get('ann') as string);
    const call = { $case: 'openDirect', openDirect: { userName: 'bob' } } as const;
    raw.send(encodeFrame(FrameType.REQUEST, 1, 0n, client.Request.encode({ call }).finish()));
    const { result } = client.Response.decode(framePayload(await raw.frame(FrameType.RESPONSE)));
    const path = `/rooms/${result?.$case === 'conversation' ? result.conversation.id : 'none'}`;
    const seq = await say('bob', path, 'just us');
    expect(await http('ann', 'GET', path)).toMatchObject([
      200,
      { kind: 'direct', name: 'bob', peer: ids.get('bob'), unread: 1 },
    ]);
    expect((await http('ann', 'PUT', `${path}/messages/${seq}/pin`))[0]).toBe(200);
    expect((await http('ann', 'DELETE', `${path}/messages/${seq}`))[1].code).toBe('ROLE_TOO_LOW');
    expect(await http('ann', 'POST', `${path}/leave`)).toMatchObject([400, { code: 'ARGUMENT_INVALID' }]);
  });
});
