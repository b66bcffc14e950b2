/** What is refused of an entry: every kind, on every state of its target, by everybody. Nothing changes by it. */
import { expect, test } from 'vitest';
import { CATALOGUE, type ConversationId, type ErrorCode, type UserId } from '../../common/mod.ts';
import { client, encodeFrame, FrameType } from '../../proto/mod.ts';
import { append } from '../testing/drafts.ts';
import { settle, testNode } from '../testing/test-node.ts';

const ROOM = 7n as ConversationId;
const OTHER_ROOM = 8n as ConversationId;
const users = [1n, 2n, 3n, 4n, 5n, 6n] as [UserId, UserId, UserId, UserId, UserId, UserId];
const [OWNER, MODERATOR, AUTHOR, MEMBER, FORMER, STRANGER] = users;
const ACTORS = {
  owner: OWNER,
  moderator: MODERATOR,
  author: AUTHOR,
  member: MEMBER,
  former: FORMER,
  stranger: STRANGER,
};
type Actor = keyof typeof ACTORS;

const { ENTRY_KIND_EDIT, ENTRY_KIND_RETRACT, ENTRY_KIND_PIN, ENTRY_KIND_UNPIN } = client.EntryKind;
const KINDS = {
  reply: (target: bigint) => ({ text: 'x', replyTo: target }),
  edit: (target: bigint) => ({ kind: ENTRY_KIND_EDIT, text: 'x', target }),
  retract: (target: bigint) => ({ kind: ENTRY_KIND_RETRACT, target }),
  pin: (target: bigint) => ({ kind: ENTRY_KIND_PIN, target }),
  unpin: (target: bigint) => ({ kind: ENTRY_KIND_UNPIN, target }),
};
type Kind = keyof typeof KINDS;

/** Why nobody may do anything to a target in this state. */
const STATES = {
  expired: 'TARGET_EXPIRED',
  system: 'TARGET_INVALID',
  edit: 'TARGET_INVALID',
  retraction: 'TARGET_INVALID',
  retracted: 'TARGET_RETRACTED',
  missing: 'TARGET_NOT_FOUND',
  'in another conversation': 'TARGET_NOT_FOUND',
} as const;
type State = keyof typeof STATES | 'kept' | 'too old';

/** Why an actor may not do this to a message that is there; undefined: it is allowed. */
function refusalOf(kind: Kind, actor: Actor, state: State): ErrorCode | undefined {
  if (actor === 'stranger' || actor === 'former') return 'NOT_A_MEMBER';
  if (state !== 'kept' && state !== 'too old') return STATES[state];
  const isModerator = actor === 'owner' || actor === 'moderator';
  if (kind === 'reply') return undefined;
  if (kind === 'retract') return isModerator || actor === 'author' ? undefined : 'ROLE_TOO_LOW';
  if (kind !== 'edit') return isModerator ? undefined : 'ROLE_TOO_LOW';
  if (actor !== 'author') return 'NOT_AUTHOR';
  return state === 'too old' ? 'EDIT_TOO_LATE' : undefined;
}

async function room() {
  const made = await testNode();
  const { store, worker } = made;
  await store.addRoom(ROOM, 'room', [OWNER, MODERATOR, AUTHOR, MEMBER, FORMER]);
  await store.addUser(STRANGER);
  await store.addRoom(OTHER_ROOM, 'other', Object.values(ACTORS));
  const stamp = { ids: [(1n << 59n) as never], atMs: 0 };
  const by = { actor: OWNER, requirement: { missing: 'ROOM_NOT_FOUND', room: { actor: 'owner' } } } as const;
  await store.setRole(ROOM, MODERATOR, 'moderator', by, stamp);
  const say = async (entry?: Parameters<typeof append>[2]['entry']) =>
    (await append(store, ROOM, { sender: AUTHOR, text: 'said', atMs: Date.now(), ...(entry && { entry }) }))
      .seq;
  const old = await append(store, ROOM, { sender: AUTHOR, text: 'sunk', atMs: 1000 });
  await store.raiseFloor(ROOM, old.seq);
  const tooOld = await append(store, ROOM, { sender: AUTHOR, text: 'old', atMs: 2000 });
  await store.leave(ROOM, FORMER);
  const [kept, retracted, edited] = [await say(), await say(), await say()];
  const edit = await say({ kind: 'edit', target: edited });
  const retract = {
    sender: AUTHOR,
    atMs: Date.now(),
    entry: { kind: 'retract', target: retracted },
  } as const;
  const retraction = (await append(store, ROOM, retract)).seq;
  for (let n = 0; n < retraction + 5; n++) await append(store, OTHER_ROOM, { sender: AUTHOR, text: 'x' });
  const seqs: Readonly<Record<State, number>> = {
    kept,
    'too old': tooOld.seq,
    expired: old.seq,
    system: tooOld.seq + 1,
    edit,
    retraction,
    retracted,
    missing: 1_000_000,
    'in another conversation': retraction + 3,
  };
  const w = worker();
  for (const user of Object.values(ACTORS)) w.attach(Number(user), user);
  w.take();
  let ref = 0;
  /** Sends an entry and returns the answer, and whether anybody was told of anything. */
  const send = async (actor: Actor, fields: Partial<client.Send>) => {
    const conn = Number(ACTORS[actor]);
    ref++;
    w.resynced();
    const payload = client.Send.encode(
      client.Send.fromPartial({ clientMsgId: `c${ref}`, ...fields }),
    ).finish();
    w.frames([conn, encodeFrame(FrameType.SEND, ref, ROOM, payload)]);
    await settle();
    const frames = w.delivered();
    const nack = frames.find(
      (frame) => frame.conn === conn && frame.ref === ref && frame.type === FrameType.NACK,
    );
    return {
      nack: nack && client.Nack.decode(nack.payload),
      clientMsgId: `c${ref}`,
      pushed: frames.filter(({ type }) => type === FrameType.MESSAGE).length,
    };
  };
  /** All that anybody can see. */
  const view = async () => {
    const at = { limit: 200, at: undefined };
    const caller = { user: OWNER, userName: '', device: '' };
    return [
      await made.node.log.history(caller, ROOM, at),
      await made.node.log.pins(caller, ROOM, { after: '' }),
      await made.node.rooms.conversation(caller, ROOM),
    ];
  };
  return { send, seqs, view };
}

test('each kind of entry on each state of its target by everybody: the code and its sentence, and nothing changed', async () => {
  const { send, seqs, view } = await room();
  const before = await view();
  let tried = 0;
  for (const kind of Object.keys(KINDS) as Kind[])
    for (const actor of Object.keys(ACTORS) as Actor[])
      for (const state of Object.keys(seqs) as State[]) {
        const code = refusalOf(kind, actor, state);
        if (code === undefined) continue;
        tried++;
        const { nack, clientMsgId, pushed } = await send(actor, KINDS[kind](BigInt(seqs[state])));
        const what = { kind, actor, state };
        expect({ ...what, code: nack?.code }).toEqual({ ...what, code });
        expect(nack).toMatchObject({ retryable: false, clientMsgId });
        expect(nack?.message).toContain(CATALOGUE[code].message);
        expect(pushed).toBe(0);
      }
  expect(tried).toBeGreaterThan(200);
  expect(await view()).toEqual(before);
});

test('what the table allows: is done', async () => {
  for (const kind of Object.keys(KINDS) as Kind[])
    for (const actor of Object.keys(ACTORS) as Actor[]) {
      if (refusalOf(kind, actor, 'kept') !== undefined) continue;
      const { send, seqs } = await room();
      const { nack, pushed } = await send(actor, KINDS[kind](BigInt(seqs.kept)));
      expect([kind, actor, nack?.code, pushed > 0]).toEqual([kind, actor, undefined, true]);
    }
});

test('a range of another’s messages: moderators and owners alone, and of lower ranks', async () => {
  const { send } = await room();
  const retract = (sender: UserId) => ({
    kind: ENTRY_KIND_RETRACT,
    range: { sender, fromSeq: 1n, toSeq: 1000n },
  });
  const code = async (actor: Actor, sender: UserId) => (await send(actor, retract(sender))).nack?.code;
  expect(await code('stranger', AUTHOR)).toBe('NOT_A_MEMBER');
  expect(await code('former', FORMER)).toBe('NOT_A_MEMBER');
  expect(await code('member', AUTHOR)).toBe('ROLE_TOO_LOW');
  expect(await code('moderator', OWNER)).toBe('ROLE_TOO_LOW');
  expect(await code('member', MEMBER)).toBe(undefined);
  expect(await code('moderator', AUTHOR)).toBe(undefined);
  expect(await code('owner', FORMER)).toBe(undefined);
});
