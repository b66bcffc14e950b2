/** The delivery contract on the client's side, under random faults: each message once, in the order of the sends. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { FakeConnection, SendFate } from '../testing/fake-gateway.ts';
import { FakeGateway } from '../testing/fake-gateway.ts';
import { FakeDirectory } from '../testing/fake-directory.ts';
import { tcpTransport } from '../transport-tcp.ts';
import { Fold, GochatClient } from './mod.ts';
import { within } from '../../test/harness/eventually.ts';

const SENDS = 60;

/** The fate of the next SEND that reaches the log. */
const fault = fc.oneof(
  { weight: 12, arbitrary: fc.constant('accept' as const) },
  { weight: 1, arbitrary: fc.constant('lose' as const) },
  { weight: 1, arbitrary: fc.constant('lose-answer' as const) },
  { weight: 1, arbitrary: fc.constantFrom('OVERLOADED', 'STORE_UNAVAILABLE', 'STATE_UNAVAILABLE') },
  { weight: 1, arbitrary: fc.constant('cut' as const) },
  { weight: 1, arbitrary: fc.constant('drain' as const) },
  { weight: 1, arbitrary: fc.constant('resync' as const) },
);
type Fault = typeof fault extends fc.Arbitrary<infer T> ? T : never;

function apply(fault: Fault, connection: FakeConnection): SendFate {
  switch (fault) {
    case 'accept':
    case 'lose':
    case 'lose-answer':
      return fault;
    case 'cut':
      connection.destroy();
      return 'lose';
    case 'drain':
      connection.close('SERVER_DRAINING', true);
      return 'lose';
    case 'resync':
      // The stream to the log changed after this SEND had passed.
      setImmediate(() => connection.resync(2));
      return 'accept';
    default:
      return { nack: fault, retryAfterMs: 1 };
  }
}

test('faults: the log has each send once and in order, and the other member sees the same', async () => {
  const scenario = fc.record({
    faults: fc.array(fault, { minLength: 20, maxLength: 200 }),
    window: fc.constantFrom(1, 3, 16, 256),
    pushLoss: fc.array(fc.boolean(), { minLength: 1, maxLength: 7 }),
  });
  await fc.assert(
    fc.asyncProperty(scenario, async ({ faults, window, pushLoss }) => {
      await using gateway = await new FakeGateway().start();
      const alice = gateway.chat.addUser('alice');
      const bob = gateway.chat.addUser('bob');
      const rooms = [
        gateway.chat.addRoom('one', alice, bob),
        gateway.chat.addRoom('two', alice, bob),
      ] as const;
      const directory = new FakeDirectory(gateway);
      let next = 0;
      gateway.fate = (_, connection) => {
        // A lost push leaves no trace here: the next one, or the last RESYNC, must bring what it held.
        gateway.pushes = pushLoss[next % pushLoss.length] !== true;
        return apply(faults[next++] ?? 'accept', connection);
      };
      const options = {
        api: 'http://api.test',
        ipconf: 'http://ipconf.test',
        password: 'secret',
        transport: tcpTransport(),
        fetch: directory.fetch,
        backoff: { baseMs: 1, maxMs: 2 },
        window,
        gapDelayMs: 1,
        receiptDelayMs: 1,
        newDevice: 'all' as const,
        catchUp: 'all' as const,
        random: () => 0.5,
      };
      await using sender = new GochatClient({ ...options, user: 'alice' });
      await using reader = new GochatClient({ ...options, user: 'bob' });
      const seen = new Map<string, number[]>();
      const read: string[] = [];
      reader.on('message', ({ conversation, seq, text }) => {
        seen.set(conversation, [...(seen.get(conversation) ?? []), seq]);
        read.push(`${conversation}/${text}`);
      });
      await Promise.all([sender.connect(), reader.connect()]);
      const sent: { room: string; text: string }[] = [];
      const sends = Array.from({ length: SENDS }, (_, i) => {
        const room = rooms[i % 3 === 0 ? 1 : 0].toString();
        sent.push({ room, text: `m${i}` });
        return sender.send(room, `m${i}`);
      });
      const results = await Promise.all(sends);
      const { promise: complete, resolve } = Promise.withResolvers<void>();
      const check = () => {
        if (read.length >= SENDS) resolve();
      };
      reader.on('message', check);
      check();
      for (const connection of gateway.connections) connection.resync(3);
      await within('all messages at the reader', complete);

      for (const id of rooms) {
        const room = id.toString();
        const texts = sent.filter((send) => send.room === room).map(({ text }) => text);
        expect(gateway.chat.conversations.get(id)?.log.map(({ text }) => text)).toEqual(texts);
        const seqs = texts.map((_, i) => i + 1);
        expect(results.filter(({ conversation }) => conversation === room).map(({ seq }) => seq)).toEqual(
          seqs,
        );
        expect(seen.get(room)).toEqual(seqs);
        expect(read.filter((line) => line.startsWith(`${room}/`))).toEqual(
          texts.map((text) => `${room}/${text}`),
        );
      }
    }),
    { numRuns: 60 },
  );
});

test('faults, with entries of all kinds: the views of the sender and of another are what the log folds to', async () => {
  const scenario = fc.record({
    faults: fc.array(fault, { minLength: 20, maxLength: 100 }),
    kinds: fc.array(fc.constantFrom('send', 'send', 'reply', 'edit', 'edit', 'retract', 'range'), {
      minLength: 10,
      maxLength: 40,
    }),
    pushLoss: fc.array(fc.boolean(), { minLength: 1, maxLength: 7 }),
    catchUp: fc.constantFrom(3, 1000),
  });
  await fc.assert(
    fc.asyncProperty(scenario, async ({ faults, kinds, pushLoss, catchUp }) => {
      await using gateway = await new FakeGateway().start();
      const alice = gateway.chat.addUser('alice');
      const room = gateway.chat.addRoom('one', alice, gateway.chat.addUser('bob'));
      const id = room.toString();
      let next = 0;
      gateway.fate = (_, connection) => {
        gateway.pushes = pushLoss[next % pushLoss.length] !== true;
        return apply(faults[next++] ?? 'accept', connection);
      };
      const options = {
        api: 'http://api.test',
        ipconf: 'http://ipconf.test',
        password: 'secret',
        transport: tcpTransport(),
        fetch: new FakeDirectory(gateway).fetch,
        backoff: { baseMs: 1, maxMs: 2 },
        gapDelayMs: 1,
        receiptDelayMs: 1,
        newDevice: 'all' as const,
        random: () => 0.5,
      };
      await using sender = new GochatClient({ ...options, user: 'alice', catchUp: 'all' });
      await using reader = new GochatClient({ ...options, user: 'bob', catchUp });
      const views = [sender, reader].map(viewOf);
      await Promise.all([sender.connect(), reader.connect()]);
      const said: string[] = [];
      const sends = kinds.map((kind, index) => {
        const target = said[index % Math.max(1, said.length)];
        if (kind === 'edit' && target !== undefined) return sender.edit(id, target, `edit ${index}`);
        if (kind === 'retract' && target !== undefined) return sender.retract(id, target);
        if (kind === 'range')
          return sender.retractRange(id, {
            sender: `${alice}`,
            fromSeq: Math.max(1, index - 3),
            toSeq: index,
          });
        said.push(sender.nextMessageId());
        const replyTo = kind === 'reply' ? 1 : 0;
        return sender.send(id, `text ${index}`, { clientMsgId: said.at(-1), replyTo });
      });
      await Promise.allSettled(sends);
      const synced = [sender, reader].map((client) => {
        const { promise, resolve } = Promise.withResolvers<void>();
        client.on('synced', () => resolve());
        return promise;
      });
      for (const connection of gateway.connections) connection.resync(3);
      await within('both have read the log to its end', Promise.all(synced));

      const last = BigInt(gateway.chat.conversations.get(room)?.log.length ?? 0);
      const expected = gateway.chat.fold(room, last, 1n, last).filter(({ kind }) => kind === 0);
      const texts = expected.map(({ seq, text, version, quote }) => [
        Number(seq),
        text,
        Number(version),
        quote?.text,
      ]);
      for (const { fold, skipped } of views)
        expect(digest(fold)).toEqual(texts.filter(([seq]) => Number(seq) > skipped()));
    }),
    { numRuns: 25 },
  );
});

function viewOf(client: GochatClient) {
  const fold = new Fold();
  let skipped = 0;
  client.onAny((event) => {
    if (event.type === 'skipped') fold.skip((skipped = event.toSeq));
    else if ('kind' in event && 'seq' in event) fold.add(event);
  });
  return { fold, skipped: () => skipped };
}

function digest(fold: Fold): unknown[] {
  return fold.shown().flatMap((entry) => {
    if (entry.kind !== 'message') return [];
    return [[entry.seq, entry.text, entry.version, entry.quote?.text]];
  });
}
