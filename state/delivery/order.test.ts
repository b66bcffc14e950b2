import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { client, FrameType, LinkKind, decodeConns, decodeHeader, framePayload } from '../../proto/mod.ts';
import { type FakeWorker, sendFrame } from '../testing/fake-stream.ts';
import { settle, testNode } from '../testing/test-node.ts';

const ROOM = 7n;
const CONN = 1;

/** A client and its gateway by the protocol: pipelined sends, RESYNC by FENCE, repetition in the original order. */
class Sender {
  readonly unacked: string[] = [];
  readonly #worker: FakeWorker;
  /** Frames that were forwarded and have not arrived at the state node. */
  #inFlight: string[] = [];
  #sent = 0;
  acked = 0;

  constructor(worker: FakeWorker) {
    this.#worker = worker;
  }

  send(): void {
    const id = `m${this.#sent++}`;
    this.unacked.push(id);
    this.#inFlight.push(id);
  }

  /** Lets up to `count` frames arrive, as one batch of records. */
  arrive(count: number): void {
    const frames = this.#inFlight.splice(0, count);
    if (frames.length > 0) {
      this.#worker.frames(...frames.map((id) => [CONN, sendFrame(1, ROOM, id, id)] as const));
    }
  }

  /** Reads what the state node said; a FENCE makes the client repeat all that is unacknowledged. */
  read(): void {
    for (const record of this.#worker.take()) {
      if (record[0] === LinkKind.FENCE && decodeConns(record).includes(CONN))
        this.#inFlight.push(...this.unacked);
      if (record[0] !== LinkKind.DELIVER) continue;
      const frame = record.subarray(8);
      if (decodeHeader(frame).type !== FrameType.SENT) continue;
      const { clientMsgId } = client.Sent.decode(framePayload(frame));
      const at = this.unacked.indexOf(clientMsgId);
      if (at < 0) continue;
      this.unacked.splice(at, 1);
      this.acked++;
    }
  }
}

const step = fc.oneof(
  { weight: 4, arbitrary: fc.constant('send' as const) },
  { weight: 4, arbitrary: fc.record({ arrive: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 2, arbitrary: fc.constant('read' as const) },
  { weight: 2, arbitrary: fc.constant('commit' as const) },
  { weight: 1, arbitrary: fc.constant('fail' as const) },
);

describe('order of one sender', () => {
  test('failed commits, full queues and repetitions at random: the log keeps the order, and all arrives once', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 80 }),
        fc.integer({ min: 1, max: 6 }),
        async (steps, queueRows) => {
          const { node, store, worker } = await testNode({ queueRows, batchRows: 3 });
          store.addRoom(ROOM, 'room', [1n]);
          const w = worker();
          w.attach(CONN, 1n);
          const sender = new Sender(w);
          store.holding = true;
          for (const next of steps) {
            if (next === 'send') sender.send();
            else if (next === 'read') sender.read();
            else if (typeof next === 'object') sender.arrive(next.arrive);
            else {
              if (next === 'fail') store.failing.add('append');
              store.release();
              await settle();
              store.failing.delete('append');
            }
          }
          // All faults are over: everything must settle.
          for (let round = 0; sender.unacked.length > 0; round++) {
            if (round > 2000) throw new Error(`not settled: ${sender.unacked.join(' ')}`);
            sender.arrive(3);
            store.release();
            await settle();
            sender.read();
            if (round % 50 === 49) await new Promise((resolve) => setTimeout(resolve, 20));
          }
          const log = store.rooms.get(ROOM as never)?.messages.map((message) => message.text);
          expect(log).toEqual(Array.from({ length: sender.acked }, (_, i) => `m${i}`));
          node.stop();
        },
      ),
      { numRuns: 150 },
    );
  }, 60_000);
});
