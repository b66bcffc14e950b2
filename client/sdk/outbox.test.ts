import { describe, expect, test } from 'vitest';
import { Nack, Send, Sent as Receipt } from '../../proto/client.ts';
import type { ClientError } from './errors.ts';
import type { Sent } from './events.ts';
import { resolveOptions } from './options.ts';
import { Outbox } from './outbox.ts';
import { webSocketTransport } from './transport-ws.ts';

const receipt = (clientMsgId: string) => Receipt.fromPartial({ clientMsgId, seq: 1n });

function makeOutbox(options: { window?: number; sentTimeoutMs?: number } = {}) {
  const written: string[] = [];
  const refs = new Map<string, number>();
  const failed: string[] = [];
  let ref = 0;
  let stalls = 0;
  const resolved = resolveOptions({
    ipconf: '',
    transport: webSocketTransport(),
    backoff: { baseMs: 1, maxMs: 1 },
    random: () => 0.5,
    ...options,
  });
  const outbox = new Outbox(resolved, {
    nextRef: () => ++ref,
    write: (ref, _, payload) => {
      const { clientMsgId } = Send.decode(payload);
      written.push(clientMsgId);
      refs.set(clientMsgId, ref);
    },
    onSent: ({ send }) => ({ clientMsgId: send.clientMsgId, seq: 1 }) as Sent,
    onFailed: ({ send }) => failed.push(send.clientMsgId),
    onRefused: () => undefined,
    onStalled: () => stalls++,
  });
  const outcomes = new Map<string, Promise<Sent | ClientError>>();
  const addSend = (clientMsgId: string, more: Partial<Send> = {}, conversation = 5n) => {
    const send = Send.fromPartial({ clientMsgId, text: `text of ${clientMsgId}`, ...more });
    const promise = outbox.add({ conversation, send }).catch((error: ClientError) => error);
    outcomes.set(clientMsgId, promise);
  };
  const add = (...ids: string[]) => {
    for (const id of ids) addSend(id);
  };
  const nack = (id: string, fields: Partial<Nack>) =>
    outbox.refused(refs.get(id) as number, Nack.fromPartial({ clientMsgId: id, ...fields }));
  return { outbox, written, failed, add, addSend, outcomes, nack, refs, stalls: () => stalls };
}

describe('Outbox', () => {
  test('window: sends beyond it wait for answers', () => {
    const { outbox, written, add } = makeOutbox({ window: 2 });
    outbox.resend();
    add('a', 'b', 'c', 'd');
    expect(written).toEqual(['a', 'b']);
    outbox.committed(receipt('b'));
    expect(written).toEqual(['a', 'b', 'c']);
    outbox.failAll({} as ClientError);
  });

  test('retryable refusal: it and later sends are repeated in order, earlier ones are not', async () => {
    const { outbox, written, add, nack } = makeOutbox();
    outbox.resend();
    add('a', 'b', 'c');
    nack('b', { code: 'OVERLOADED', retryable: true, retryAfterMs: 1 });
    add('d');
    expect(written).toEqual(['a', 'b', 'c']);
    await expect.poll(() => written).toEqual(['a', 'b', 'c', 'b', 'c', 'd']);
    outbox.failAll({} as ClientError);
  });

  test('answer to an earlier attempt: SENT counts, and so does a refusal that is final', async () => {
    const { outbox, written, add, outcomes, refs, nack } = makeOutbox();
    outbox.resend();
    add('a', 'b', 'c');
    const old = new Map(refs);
    outbox.resend();
    const late = (id: string, retryable: boolean) =>
      outbox.refused(old.get(id) as number, Nack.fromPartial({ code: 'X', clientMsgId: id, retryable }));
    late('a', true);
    expect(outbox.size).toBe(3);
    late('b', false);
    expect(await outcomes.get('b')).toMatchObject({ code: 'X' });
    outbox.committed(receipt('c'));
    expect(await outcomes.get('c')).toMatchObject({ seq: 1 });
    nack('a', { code: 'OVERLOADED', retryable: true, retryAfterMs: 60_000 });
    late('a', true);
    expect(outbox.size).toBe(1);
    outbox.committed(receipt('a'));
    expect(await outcomes.get('a')).toMatchObject({ clientMsgId: 'a' });
    expect(written).toEqual(['a', 'b', 'c', 'a', 'b', 'c']);
    outbox.failAll({} as ClientError);
  });

  test('answered while it waits to be repeated: it is not repeated', async () => {
    const { outbox, written, add, nack } = makeOutbox();
    outbox.resend();
    add('a', 'b');
    nack('a', { code: 'OVERLOADED', retryable: true, retryAfterMs: 1 });
    outbox.committed(receipt('a'));
    await expect.poll(() => written).toEqual(['a', 'b', 'b']);
    outbox.failAll({} as ClientError);
  });

  test('RESYNC while it waits: everything is sent once, after the wait', async () => {
    const { outbox, written, add, nack } = makeOutbox();
    outbox.resend();
    add('a', 'b', 'c');
    nack('b', { code: 'OVERLOADED', retryable: true, retryAfterMs: 1 });
    nack('c', { code: 'RESYNC_REQUIRED', retryable: true });
    outbox.resend();
    expect(written).toHaveLength(3);
    await expect.poll(() => written.slice(3)).toEqual(['a', 'b', 'c']);
    outbox.failAll({} as ClientError);
  });

  test('no answer: everything is sent again, then the connection is given up', async () => {
    const { outbox, written, add, stalls } = makeOutbox({ sentTimeoutMs: 5 });
    outbox.resend();
    add('a', 'b');
    await expect.poll(() => stalls()).toBe(1);
    expect(written).toEqual(['a', 'b', 'a', 'b']);
    outbox.failAll({} as ClientError);
  });

  test('unknown: answers to unknown sends change nothing', () => {
    const { outbox, add } = makeOutbox();
    outbox.resend();
    add('a');
    expect(outbox.committed(receipt('z'))).toBe(false);
    outbox.refused(999, Nack.fromPartial({ code: 'X', clientMsgId: 'z' }));
    expect(outbox.size).toBe(1);
    outbox.failAll({} as ClientError);
  });

  test('refused for good: what was to change it fails with it, and nothing else', async () => {
    const { outbox, failed, add, addSend, outcomes, nack } = makeOutbox();
    outbox.resend();
    add('a', 'b');
    addSend('edit', { targetClientMsgId: 'a' });
    addSend('edit of the other', { targetClientMsgId: 'b' });
    addSend('elsewhere', { targetClientMsgId: 'a' }, 6n);
    nack('a', { code: 'TEXT_TOO_LONG' });
    expect(failed).toEqual(['a', 'edit']);
    expect(await outcomes.get('edit')).toMatchObject({ code: 'TEXT_TOO_LONG' });
    expect(outbox.size).toBe(3);
    // The server's own answer comes, too.
    nack('edit', { code: 'TARGET_NOT_FOUND' });
    expect(failed).toEqual(['a', 'edit']);
    outbox.failAll({} as ClientError);
  });

  test('failAll: fails each once, in order, and forgets them', async () => {
    const { outbox, failed, add, outcomes } = makeOutbox({ window: 1 });
    outbox.resend();
    add('a', 'b', 'c');
    outbox.failAll({ code: 'GONE' } as ClientError);
    expect(await Promise.all(outcomes.values())).toMatchObject([
      { code: 'GONE' },
      { code: 'GONE' },
      { code: 'GONE' },
    ]);
    expect(failed).toEqual(['a', 'b', 'c']);
    expect(outbox.size).toBe(0);
  });
});
