import { Buffer } from 'node:buffer';
import { expect, test } from 'vitest';
import type { ConversationId, MessageId, UserId } from '../../common/mod.ts';
import { client, encodeFrame, FrameType } from '../../proto/mod.ts';
import { toMessage } from '../chat/present.ts';
import type { Extra } from '../store/store.ts';
import { encodeEntry, type SpecialEntry } from './entry-frames.ts';

const ANN = 1001n as UserId;
const QUOTE = { seq: 5, state: 'kept', sender: ANN, text: 'quoted', version: 5 } as const;
const RETRACTION = { seq: 8, by: ANN, atMs: 1000, reason: '' };
const nameOf = () => 'Änn';

function entry(fields: Partial<Extra>, text = ''): SpecialEntry {
  const extra: Extra = {
    kind: 'message',
    version: 9,
    target: 0,
    thread: 0,
    quote: undefined,
    retraction: undefined,
    range: undefined,
    reason: '',
    system: undefined,
    bare: false,
    ...fields,
  };
  const common = { conversation: 7n as ConversationId, seq: 9, id: 42n as MessageId, sender: ANN };
  return { ...common, clientMsgId: 'c-1', text, atMs: 1_796_080_055_194, extra };
}

test.each<[string, SpecialEntry]>([
  ['an edit', entry({ kind: 'edit', target: 5 }, 'new')],
  ['an edit whose target was changed since', entry({ kind: 'edit', target: 5, version: 12 }, 'new')],
  ['a retraction', entry({ kind: 'retract', target: 5 })],
  ['a retraction with a reason', entry({ kind: 'retract', target: 5, reason: 'spam' })],
  ['a range', entry({ kind: 'retract', range: { sender: ANN, fromSeq: 1, toSeq: 99 } })],
  ['a pin', entry({ kind: 'pin', target: 5 })],
  ['an unpin', entry({ kind: 'unpin', target: 5 })],
  ['a reply', entry({ target: 5, quote: QUOTE }, 'yes')],
  ['an edited message', entry({ version: 12 }, 'new')],
  ['a tombstone', entry({ version: 12, retraction: RETRACTION })],
  ['a bare edit', entry({ kind: 'edit', bare: true })],
  ['an entry of the server', entry({ kind: 'system', system: { event: 'joined', user: ANN } })],
])('%s: the frame has the bytes of the generated codec', (_, given) => {
  const payload = client.Message.encode(toMessage(given, nameOf)).finish();
  const expected = encodeFrame(FrameType.MESSAGE, 0, given.conversation, payload);
  expect(Buffer.from(encodeEntry(given, nameOf).frame)).toEqual(Buffer.from(expected));
});
