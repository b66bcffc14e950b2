import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { client, decodeConns, decodeHeader, framePayload, FrameType, LinkKind } from '../../proto/mod.ts';
import { type FakeWorker, sendFrame } from '../testing/fake-stream.ts';
import { settle, testNode } from '../testing/test-node.ts';

const ROOM = 7n;
const CONN = 1;

/** A client and its gateway by the protocol: pipelined sends, RESYNC by FENCE, repetition in the original order. */
class Sender {
  readonly unacked: string[] = [];
  readonly acked = new Set<string>();
  readonly givenUp = new Set<string>();
  readonly #worker: FakeWorker;
  /** Frames that were forwarded and have not arrived at the state node. */
  readonly #inFlight: string[] = [];
  #sent = 0;

  constructor(worker: FakeWorker) {
    this.#worker = worker;
  }

  send(): void {
    const id = `m${this.#sent++}`;
    this.unacked.push(id);
    this.#inFlight.push(id);
  }

  /** Forgets an unacknowledged message, as when the user cancels it. */
  giveUp(which: number): void {
    const [id] = this.unacked.splice(which % Math.max(1, this.unacked.length), 1);
    if (id !== undefined) this.givenUp.add(id);
  }

  /** Sends everything unacknowledged again: the answer to any RESYNC. */
  repeat(): void {
    this.#inFlight.push(...this.unacked);
  }

  /** Lets up to `count` frames arrive, as one batch of records. */
  arrive(count: number): void {
    const frames = this.#inFlight.splice(0, count);
    if (frames.length === 0) return;
    this.#worker.frames(...frames.map((id) => [CONN, sendFrame(1, ROOM, id, id)] as const));
  }

  /** Reads what the state node said. */
  read(): void {
    for (const record of this.#worker.take()) {
      if (record[0] === LinkKind.FENCE && decodeConns(record).includes(CONN)) this.repeat();
      if (record[0] !== LinkKind.DELIVER) continue;
      const frame = record.subarray(8);
      if (decodeHeader(frame).type !== FrameType.SENT) continue;
      const { clientMsgId } = client.Sent.decode(framePayload(frame));
      const at = this.unacked.indexOf(clientMsgId);
      if (at >= 0) this.unacked.splice(at, 1);
      if (!this.givenUp.has(clientMsgId)) this.acked.add(clientMsgId);
    }
  }
}

const step = fc.oneof(
  { weight: 4, arbitrary: fc.constant('send' as const) },
  { weight: 4, arbitrary: fc.record({ arrive: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 2, arbitrary: fc.constant('read' as const) },
  { weight: 2, arbitrary: fc.constant('commit' as const) },
  { weight: 1, arbitrary: fc.constant('fail' as const) },
  { weight: 1, arbitrary: fc.constant('repeat' as const) },
  { weight: 1, arbitrary: fc.record({ giveUp: fc.nat({ max: 5 }) }) },
);

/** Runs a scenario to its end; returns the log without what the client gave up, and what was acknowledged. */
async function play(
  steps: readonly (typeof step extends fc.Arbitrary<infer S> ? S : never)[],
  queueRows: number,
) {
  const { node, store, worker } = await testNode({ queueRows, batchRows: 3 });
  store.addRoom(ROOM, 'room', [1n]);
  const w = worker();
  w.attach(CONN, 1n);
  const sender = new Sender(w);
  store.holding = true;
  for (const next of steps) {
    if (next === 'send') sender.send();
    else if (next === 'read') sender.read();
    else if (next === 'repeat') sender.repeat();
    else if (typeof next === 'object') {
      if ('arrive' in next) sender.arrive(next.arrive);
      else sender.giveUp(next.giveUp);
    } else {
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
    // A fence that waits for a retry needs real time.
    if (round % 50 === 49) await new Promise((resolve) => setTimeout(resolve, 20));
  }
  node.stop();
  const log = store.rooms.get(ROOM as never)?.messages.map((message) => message.text) ?? [];
  return { log: log.filter((text) => !sender.givenUp.has(text)), acked: [...sender.acked] };
}

describe('order of one sender', () => {
  test('failed commits, full queues, repetitions and cancelled sends at random: the log keeps the order, all is in it once', async () => {
    const number = (text: string) => Number(text.slice(1));
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 60, size: 'max' }),
        fc.integer({ min: 1, max: 6 }),
        async (steps, queueRows) => {
          const { log, acked } = await play(steps, queueRows);
          expect(log).toEqual(log.toSorted((a, b) => number(a) - number(b)));
          expect(log).toEqual(acked.toSorted((a, b) => number(a) - number(b)));
        },
      ),
      { numRuns: 300 },
    );
  }, 120_000);
});
