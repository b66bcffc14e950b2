import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { Conversation, Message, SyncPage } from '../../proto/client.ts';
import { tcpTransport } from '../transport-tcp.ts';
import { toConversation } from './convert.ts';
import { Inbox } from './inbox.ts';
import { Names } from './names.ts';
import { resolveOptions } from './options.ts';
import type { Result } from './requests.ts';
import { Syncer } from './sync.ts';

const OPTIONS = resolveOptions({ ipconf: 'http://ipconf.test', transport: tcpTransport(), newDevice: 1000 });

describe('Syncer', () => {
  test('a page that arrives while the client is closing: is dropped, as nobody would see it', async () => {
    const delivered: number[] = [];
    const inbox = new Inbox({
      toConversation: (wire) => toConversation(wire, new Names(() => undefined)),
      deliver: () => undefined,
      onCursor: (_, seq) => delivered.push(seq),
      onSkipped: () => undefined,
    });
    const closing = new AbortController();
    const answer = Promise.withResolvers<Result>();
    const syncer = new Syncer(OPTIONS, inbox, closing.signal, {
      call: () => answer.promise,
      answered: async () => undefined,
      onListed: () => undefined,
      onOpened: () => undefined,
      onGone: () => undefined,
      onSynced: () => undefined,
      onError: () => undefined,
    });
    syncer.want(false);
    const conversation = Conversation.fromPartial({ id: 7n });
    const messages = [Message.fromPartial({ seq: 1n })];
    answer.resolve({
      $case: 'sync',
      sync: SyncPage.fromPartial({ conversations: [{ conversation, messages }] }),
    });
    closing.abort();
    await nextTurn();
    expect(delivered).toEqual([]);
    await syncer.idle();
  });
});
