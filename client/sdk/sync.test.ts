import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { Conversation, Message, SyncPage } from '../../proto/client.ts';
import { tcpTransport } from '../transport-tcp.ts';
import { Inbox } from './inbox.ts';
import { resolveOptions } from './options.ts';
import type { Result } from './requests.ts';
import { Syncer } from './sync.ts';

const OPTIONS = resolveOptions({ ipconf: 'http://ipconf.test', transport: tcpTransport() });

describe('Syncer', () => {
  test('a page that arrives while the client is closing: is dropped, as nobody would see it', async () => {
    const delivered: number[] = [];
    const inbox = new Inbox(
      () => undefined,
      (_, seq) => delivered.push(seq),
    );
    const closing = new AbortController();
    const answer = Promise.withResolvers<Result>();
    const syncer = new Syncer(OPTIONS, inbox, closing.signal, {
      call: () => answer.promise,
      answered: async () => undefined,
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
