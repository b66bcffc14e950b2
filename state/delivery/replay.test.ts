/** Duplicates go out again as they are in the log. */
import { describe, expect, test, vi } from 'vitest';
import type { ConversationId, Logger, MessageId, UserId } from '../../common/mod.ts';
import { client, framePayload } from '../../proto/mod.ts';
import type { Downlink } from '../session/downlink.ts';
import type { Extra, Message } from '../store/store.ts';
import type { Push } from './conversation-cache.ts';
import { Replay } from './replay.ts';

const ROOM = 7n as ConversationId;
const [SENDER, OTHER] = [1n as UserId, 2n as UserId];
const EDIT: Extra = {
  kind: 'edit',
  version: 4,
  target: 2,
  thread: 0,
  quote: undefined,
  retraction: undefined,
  range: undefined,
  reason: '',
  system: undefined,
  bare: false,
};

function message(seq: number, extra?: Extra, text = 'hello'): Message {
  const fields = { sender: SENDER, clientMsgId: `c${seq}`, text, atMs: 1, extra };
  return { conversation: ROOM, seq, id: BigInt(seq) as MessageId, ...fields };
}

/** Replays seqs 3 and 4 where the log has these entries; resolves with what was published. */
async function replayed(entries: readonly Message[]) {
  const fanout = {
    publish: vi.fn((_push: Push) => ({ pushed: 1, skipped: 0 })),
    markLost: vi.fn(),
  };
  const logger = { warn: vi.fn() };
  const store = { entriesAt: vi.fn(async () => entries) };
  const nameOf = (user: UserId) => (user === OTHER ? 'bob' : '');
  const replay = new Replay({
    store,
    fanout,
    nameOf,
    logger: logger as unknown as Logger,
    maxRuns: 10,
  });
  const origin = { senderName: 'ann', link: { index: 0 } as Downlink, conn: 1 };
  for (const seq of [4, 3]) replay.add({ conversation: ROOM }, { seq, memberVersion: 5 }, origin);
  replay.flush();
  await expect.poll(() => fanout.publish.mock.calls.length + fanout.markLost.mock.calls.length).not.toBe(0);
  expect(logger.warn).not.toHaveBeenCalled();
  expect(store.entriesAt.mock.calls).toEqual([[ROOM, [3, 4]]]);
  const pushes = fanout.publish.mock.calls.map(([push]) => push);
  const decode = (frame: Uint8Array) => client.Message.decode(framePayload(frame));
  return {
    published: pushes.map(({ frame }) => decode(frame)),
    about: pushes.map(({ about }) => about && { seq: about.seq, bare: decode(about.bareFrame()) }),
    lost: fanout.markLost.mock.calls,
  };
}

describe('a duplicate', () => {
  test('of a message: is pushed again', async () => {
    const { published, about, lost } = await replayed([message(3), message(4)]);
    expect(published.map(({ seq, from, text }) => [seq, from, text])).toEqual([
      [3n, 'ann', 'hello'],
      [4n, 'ann', 'hello'],
    ]);
    expect([about, lost]).toEqual([[undefined, undefined], []]);
  });

  test('of an edit: is pushed as it was, bare to who may not read its target', async () => {
    const { published, about } = await replayed([message(3), message(4, EDIT)]);
    expect(published[1]).toMatchObject({ kind: 1, target: 2n, version: 4n, text: 'hello', bare: false });
    expect(about[1]).toMatchObject({ seq: 2, bare: { kind: 1, target: 0n, text: '', bare: true } });
  });

  test('of an edit whose text an erasure has removed: has none', async () => {
    const { published } = await replayed([message(3), message(4, EDIT, '')]);
    expect(published[1]).toMatchObject({ kind: 1, target: 2n, text: '', bare: false });
  });

  test('of a message that was retracted: is pushed with its retraction', async () => {
    const retraction = { seq: 9, by: OTHER, atMs: 5, reason: 'spam' };
    const gone: Extra = { ...EDIT, kind: 'message', version: 9, target: 0, retraction };
    const { published } = await replayed([message(3, gone, ''), message(4)]);
    expect(published[0]).toMatchObject({
      kind: 0,
      version: 9n,
      text: '',
      retraction: { seq: 9n, by: OTHER, atMs: 5n, reason: 'spam' },
    });
  });

  test('of a reply: quotes what the message is now, to who may read it', async () => {
    const quote = { seq: 2, state: 'kept', sender: OTHER, text: 'before', version: 2 } as const;
    const reply: Extra = { ...EDIT, kind: 'message', quote };
    const { published, about } = await replayed([message(3), message(4, reply)]);
    expect(published[1]?.quote).toMatchObject({ seq: 2n, from: 'bob', text: 'before', version: 0n });
    expect(about[1]).toMatchObject({ seq: 2, bare: { text: 'hello', quote: undefined, bare: true } });
  });

  test('that is no longer kept: the conversation resynchronises, without a log line', async () => {
    expect(await replayed([message(4)])).toMatchObject({ published: [{ seq: 4n }], lost: [[ROOM, 5]] });
  });
});
