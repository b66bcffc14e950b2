/** Entries of the log, from the SDK and the line client to the store and back. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import {
  type ClientEvent,
  Fold,
  GochatClient,
  type GochatClientOptions,
  type LogEntry,
  tcpTransport,
} from '../../client/mod.ts';
import { eventually } from '../harness/eventually.ts';
import { Client, signup, startUp, type SystemUrls } from '../harness/gochat.ts';

let up: SystemUrls & AsyncDisposable;
const folder = mkdtempSync(join(tmpdir(), 'gochat-e2e-'));
beforeAll(async () => {
  up = await startUp(folder);
  await Promise.all(['ann', 'bob', 'carl', 'dora', 'eve'].map((name) => signup(up, name)));
});
afterAll(async () => {
  await up?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

/** Connects a client that gets everything, with a view of what it was told of each conversation. */
async function connect(user: string, options: Partial<GochatClientOptions> = {}) {
  const client = new GochatClient({
    api: up.api,
    ipconf: up.ipconf,
    user,
    password: `${user}-secret`,
    transport: tcpTransport(),
    newDevice: 'all',
    catchUp: 'all',
    ...options,
  });
  onTestFinished(() => client.close());
  const events: ClientEvent[] = [];
  const views = new Map<string, Fold>();
  client.onAny((event) => {
    events.push(event);
    if (!('conversation' in event)) return;
    const view = views.get(event.conversation) ?? new Fold();
    views.set(event.conversation, view);
    if (event.type === 'skipped') view.skip(event.toSeq);
    else if (isEntry(event)) view.add(event);
  });
  await client.connect();
  await client.synchronised();
  return { client, events, view: (conversation: string) => views.get(conversation) ?? new Fold() };
}

function isEntry(event: ClientEvent): event is ClientEvent & LogEntry {
  return 'kind' in event && 'seq' in event;
}

/** What of a view does not depend on when a name was seen. */
function digest(view: Fold): unknown[] {
  return view
    .shown()
    .map((entry) =>
      entry.kind === 'message'
        ? [entry.seq, entry.sender, entry.text, entry.version, entry.quote?.text, entry.retraction?.reason]
        : [entry.seq, entry.event, entry.user],
    );
}

test('all kinds: the views of the author, of another and of a newcomer, by events and by pages, are one', async () => {
  const ann = await connect('ann');
  const bob = await connect('bob');
  const { id } = await ann.client.createRoom('kinds');
  await bob.client.joinRoom('kinds');
  const first = await ann.client.send(id, 'tea?');
  const answer = await bob.client.send(id, 'yes', { replyTo: first.seq });
  const late = ann.client.nextMessageId();
  const sends = [
    ann.client.edit(id, first.seq, 'tea or coffee?'),
    ann.client.send(id, 'draft', { clientMsgId: late }),
    ann.client.edit(id, late, 'final'),
    ann.client.pin(id, answer.seq),
  ];
  const [edit, , ofLate, pin] = await Promise.all(sends);
  expect(edit).toMatchObject({ kind: 'edit', target: first.seq });
  expect(ofLate).toMatchObject({ kind: 'edit', target: (edit?.seq ?? 0) + 1 });
  await bob.client.send(id, 'spam');
  const spam = await bob.client.send(id, 'more spam');
  const bobId = first.sender === answer.sender ? '' : answer.sender;
  const range = { sender: bobId, fromSeq: spam.seq - 1, toSeq: spam.seq };
  const purge = await ann.client.retractRange(id, range, { reason: 'off topic' });
  const retract = await ann.client.retract(id, first.seq);

  await eventually('bob has all', async () =>
    bob.events.some((event) => isEntry(event) && event.seq === retract.seq),
  );
  const carl = await connect('carl');
  const page = await carl.client.joinRoom('kinds').then(() => carl.client.history(id, { limit: 200 }));
  const newcomer = new Fold();
  newcomer.load().page(page);
  await eventually('all know of carl', async () =>
    [ann, bob].every(({ events }) =>
      events.some((event) => event.type === 'system' && event.name === 'carl'),
    ),
  );
  const expected = digest(newcomer);
  expect(digest(ann.view(id))).toEqual(expected);
  expect(digest(bob.view(id))).toEqual(expected);
  expect(digest(carl.view(id))).toEqual(expected);
  expect(expected).toContainEqual([answer.seq, bobId, 'yes', 0, '', undefined]);
  expect(expected).toContainEqual([spam.seq, bobId, '', purge.seq, undefined, 'off topic']);
  const pins = await carl.client.pins(id);
  expect(pins).toMatchObject({
    pins: [{ message: { seq: answer.seq, text: 'yes' } }],
    pinsVersion: pin?.seq,
  });
});

test('refusals: an edit of another’s message, a target that is out, a pin without the right', async () => {
  const ann = await connect('ann');
  const bob = await connect('bob');
  const { id } = await ann.client.createRoom('refusals');
  await bob.client.joinRoom('refusals');
  const { seq } = await ann.client.send(id, 'mine');
  await expect(bob.client.edit(id, seq, 'yours')).rejects.toMatchObject({ code: 'NOT_AUTHOR' });
  await expect(bob.client.retract(id, seq)).rejects.toMatchObject({ code: 'ROLE_TOO_LOW' });
  await expect(bob.client.pin(id, seq)).rejects.toMatchObject({ code: 'ROLE_TOO_LOW' });
  await expect(bob.client.send(id, 'to nothing', { replyTo: 999 })).rejects.toMatchObject({
    code: 'TARGET_NOT_FOUND',
  });
  await ann.client.retract(id, seq);
  await expect(ann.client.edit(id, seq, 'again')).rejects.toMatchObject({ code: 'TARGET_RETRACTED' });
});

test('a new device: lists its conversations, then goes on from their ends; history finds the unread and a date', async () => {
  const ann = await connect('ann');
  const { id } = await ann.client.openDirect('dora');
  for (const text of ['one', 'two', 'three']) await ann.client.send(id, text);
  const dora = await connect('dora', { device: 'phone', newDevice: 0 });
  await eventually('dora is in step', async () => dora.events.some(({ type }) => type === 'synced'));
  const shown = dora.events.map(({ type }) => type).filter((type) => type !== 'connected');
  expect(shown).toEqual(['listed', 'skipped', 'synced']);
  expect(dora.events).toContainEqual(
    expect.objectContaining({
      type: 'listed',
      conversations: [
        expect.objectContaining({ id, unread: 3, lastMessage: expect.objectContaining({ text: 'three' }) }),
      ],
    }),
  );
  await ann.client.send(id, 'four');
  await eventually('the next message', async () =>
    dora.events.some((event) => event.type === 'message' && event.text === 'four'),
  );
  expect(await dora.client.history(id, { firstUnread: true })).toMatchObject({ anchor: 1, more: false });
  const { entries, anchor } = await dora.client.history(id, { date: new Date(0), limit: 2 });
  expect([entries[0]?.seq, anchor]).toEqual([1, 1]);
  expect(await dora.client.history(id, { date: new Date(Date.now() + 1e9) })).toMatchObject({
    moreAfter: false,
  });
});

test('a name: set once, shown to others at once, and everywhere by id', async () => {
  const ann = await connect('ann');
  const eve = await connect('eve');
  const { id } = await eve.client.openDirect('ann');
  await eve.client.send(id, 'it is me');
  await eve.client.setDisplayName('Éve  Ω');
  await eve.client.send(id, 'still me');
  await eventually('both messages', async () => ann.view(id).shown().length === 2);
  const user = eve.client.conversation(id)?.peer ?? '';
  expect(ann.view(id).message(2)?.from).toBe('Éve Ω');
  const eveId = ann.view(id).message(2)?.sender ?? '';
  expect(await ann.client.users([eveId, user])).toEqual([
    { id: eveId, name: 'eve', displayName: 'Éve Ω' },
    { id: user, name: 'ann', displayName: 'ann' },
  ]);
  await expect(eve.client.setDisplayName('a\u202eb')).rejects.toMatchObject({ code: 'DISPLAY_NAME_INVALID' });
});

test('the line client: a command for each, and what others are shown', async () => {
  await using ann = new Client(up, 'ann');
  await using bob = new Client(up, 'bob');
  await Promise.all([ann.event('synced'), bob.event('synced')]);
  ann.say('/create lines', 'helo', '/edit last hello');
  const edit = await ann.event('sent', (event) => event['kind'] === 'edit');
  const target = Number(edit['target']);
  bob.say('/join lines', `/reply ${target} hi`, '/edit last hi!');
  const reply = await ann.event('message', (event) => event['text'] === 'hi');
  expect(reply).toMatchObject({ quote: { seq: target, from: 'ann', text: 'hello', state: 'kept' } });
  const seq = Number(reply['seq']);
  await ann.event('edited', (event) => event['text'] === 'hi!' && event['target'] === seq);
  ann.say(`/pin ${seq}`, '/pins', `/purge bob 1 ${seq} off topic`, '/history 9', '/who');
  expect(await ann.event('pins')).toMatchObject({ pins: [{ seq, text: 'hi!' }] });
  await bob.event('pinned', (event) => event['target'] === seq);
  await bob.event('retracted', (event) => event['reason'] === 'off topic');
  await ann.event('members');
  const history = ann.events.filter((event) => event['history'] === true && event['event'] === 'message');
  expect(history).toMatchObject([{ text: 'hello' }, { text: '', retraction: { reason: 'off topic' } }]);
  ann.end();
  bob.end();
  expect([(await ann.exit()).code, (await bob.exit()).code]).toEqual([0, 0]);
});
