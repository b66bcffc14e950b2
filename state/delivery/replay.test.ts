/** Duplicates that cannot be sent out again, as their sender may not read them any more. */
import { expect, test, vi } from 'vitest';
import type { ConversationId, Logger, MessageId, UserId } from '../../common/mod.ts';
import type { AccessCheck } from '../policy.ts';
import type { Downlink } from '../session/downlink.ts';
import type { Message } from '../store/store.ts';
import { Replay } from './replay.ts';

const ROOM = 7n as ConversationId;
const SENDER = 1n as UserId;

function message(seq: number): Message {
  const fields = { sender: SENDER, clientMsgId: `c${seq}`, text: 'hello', atMs: 1 };
  return { conversation: ROOM, seq, id: BigInt(seq) as MessageId, ...fields };
}

/** Replays seqs 3 and 4 where the sender may read these pages; resolves with the seqs that were published. */
async function replayed(page: readonly Message[] | undefined) {
  const fanout = {
    publish: vi.fn((_push: { seq: number }) => ({ pushed: 1, skipped: 0 })),
    markLost: vi.fn(),
  };
  const logger = { warn: vi.fn() };
  const store = {
    history: async (_conversation: ConversationId, _by: AccessCheck, before: number) =>
      page ? { messages: page.filter(({ seq }) => seq < before), more: false } : ('NOT_A_MEMBER' as const),
  };
  const replay = new Replay({ store, fanout, logger: logger as unknown as Logger, maxRuns: 10 });
  const origin = { senderName: 'ann', link: { index: 0 } as Downlink, conn: 1 };
  for (const seq of [3, 4])
    replay.add({ conversation: ROOM, sender: SENDER }, { seq, memberVersion: 5 }, origin);
  replay.flush();
  await expect.poll(() => fanout.publish.mock.calls.length + fanout.markLost.mock.calls.length).not.toBe(0);
  expect(logger.warn).not.toHaveBeenCalled();
  return { published: fanout.publish.mock.calls.map(([push]) => push.seq), lost: fanout.markLost.mock.calls };
}

test('a sender who may read both: both are pushed again', async () => {
  expect(await replayed([message(3), message(4)])).toEqual({ published: [3, 4], lost: [] });
});

test('a sender who may no longer read: the conversation resynchronises, without a log line', async () => {
  expect(await replayed(undefined)).toEqual({ published: [], lost: [[ROOM, 5]] });
});

test('a sender who rejoined and may not read earlier messages: the same', async () => {
  expect(await replayed([])).toEqual({ published: [], lost: [[ROOM, 5]] });
  expect(await replayed([message(4)])).toEqual({ published: [4], lost: [[ROOM, 5]] });
});
