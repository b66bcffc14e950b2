import fc from 'fast-check';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { ConversationId, UserId } from '../../common/mod.ts';
import {
  client,
  decodeConns,
  decodeHeader,
  encodeFrameHead,
  framePayload,
  FrameType,
  LinkKind,
} from '../../proto/mod.ts';
import { DEFAULT_LIMITS } from '../limits.ts';
import { type FakeWorker, sendFrame } from '../testing/fake-stream.ts';
import { settle, testNode } from '../testing/test-node.ts';

/** A room of this node. */
const HERE = 7n as ConversationId;
/** A room that is another node's until that one is lost. */
const THERE = 8n as ConversationId;
const CONN = 1;
const SENDER = 1n as UserId;

interface Message {
  readonly room: bigint;
  readonly id: string;
}

/**
 * A client and its gateway by the protocol: pipelined sends, RESYNC by FENCE or because a node is lost, repetition in
 * the original order.
 */
class Sender {
  readonly unacked: Message[] = [];
  readonly acked = new Set<string>();
  readonly givenUp = new Set<string>();
  readonly #worker: FakeWorker;
  /** Frames that were forwarded and have not arrived at the state node. */
  readonly #inFlight: (Message & { readonly round: number })[] = [];
  #sends = 0;
  #round = 1;
  #isOtherNodeLost = false;

  constructor(worker: FakeWorker) {
    this.#worker = worker;
  }

  send(room: bigint): void {
    const message = { room, id: `m${this.#sends++}` };
    this.unacked.push(message);
    this.#forward(message);
  }

  /** What the other node has got is lost with it. */
  loseOtherNode(): void {
    if (this.#isOtherNodeLost) return;
    this.#isOtherNodeLost = true;
    this.repeat();
  }

  /** Forgets an unacknowledged message, as when the user cancels it. */
  giveUp(which: number): void {
    const [message] = this.unacked.splice(which % Math.max(1, this.unacked.length), 1);
    if (message !== undefined) this.givenUp.add(message.id);
  }

  /** What the state node says is lost on the way, and so are the frames to it: the gateway makes all resynchronise. */
  loseAnswers(): void {
    this.#worker.take();
    this.#inFlight.length = 0;
    this.repeat();
  }

  /** Sends everything unacknowledged again: the answer to any RESYNC. */
  repeat(): void {
    this.#round++;
    for (const message of this.unacked) this.#forward(message);
  }

  #sent(id: string): void {
    this.#answered(id);
    if (!this.givenUp.has(id)) this.acked.add(id);
  }

  #answered(id: string): void {
    const at = this.unacked.findIndex((message) => message.id === id);
    if (at >= 0) this.unacked.splice(at, 1);
  }

  #forward(message: Message): void {
    if (message.room === HERE || this.#isOtherNodeLost)
      this.#inFlight.push({ ...message, round: this.#round });
  }

  /** Lets up to `count` frames arrive, as one batch of records. */
  arrive(count: number): void {
    const frames = this.#inFlight.splice(0, count);
    if (frames.length === 0) return;
    const record = ({ round, room, id }: (typeof frames)[number]) =>
      Uint8Array.of(...encodeFrameHead(CONN, round), ...sendFrame(round, room, id, id));
    this.#worker.records(...frames.map(record));
  }

  /** Reads what the state node said. */
  read(): void {
    for (const record of this.#worker.take()) {
      if (record[0] === LinkKind.FENCE && decodeConns(record).includes(CONN)) this.repeat();
      if (record[0] !== LinkKind.DELIVER) continue;
      const frame = record.subarray(8);
      const { type } = decodeHeader(frame);
      if (type === FrameType.SENT) this.#sent(client.Sent.decode(framePayload(frame)).clientMsgId);
      if (type !== FrameType.NACK) continue;
      const { retryable, clientMsgId } = client.Nack.decode(framePayload(frame));
      // Of whichever attempt: all have one answer.
      if (!retryable) this.#answered(clientMsgId);
    }
  }
}

const step = fc.oneof(
  { weight: 1, arbitrary: fc.record({ member: fc.boolean() }) },
  { weight: 1, arbitrary: fc.constant('lose the answers' as const) },
  { weight: 3, arbitrary: fc.constant({ send: HERE }) },
  { weight: 3, arbitrary: fc.constant({ send: THERE }) },
  { weight: 4, arbitrary: fc.record({ arrive: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 2, arbitrary: fc.constant('read' as const) },
  { weight: 2, arbitrary: fc.constant('commit' as const) },
  { weight: 1, arbitrary: fc.constant('fail' as const) },
  { weight: 1, arbitrary: fc.constant('wait' as const) },
  { weight: 1, arbitrary: fc.constant('repeat' as const) },
  { weight: 1, arbitrary: fc.constant('lose the other node' as const) },
  { weight: 1, arbitrary: fc.record({ giveUp: fc.nat({ max: 5 }) }) },
);

/** Runs a scenario to its end; returns the rooms' logs without what the client gave up, and what was acknowledged. */
async function play(
  steps: readonly (typeof step extends fc.Arbitrary<infer S> ? S : never)[],
  queueRows: number,
) {
  const { node, store, worker } = await testNode({ queueRows, batchRows: 3, turnRows: 2 });
  for (const room of [HERE, THERE]) await store.addRoom(room, `room${room}`, [SENDER]);
  const setMember = async (isMember: boolean) => {
    if (isMember) await store.addMember(HERE, SENDER);
    else await store.leave(HERE, SENDER);
  };
  const w = worker();
  w.attach(CONN, SENDER);
  const sender = new Sender(w);
  store.holding = true;
  for (const next of steps) {
    if (next === 'read') sender.read();
    // Some of what waits has waited for too long by then.
    else if (next === 'wait') vi.advanceTimersByTime(DEFAULT_LIMITS.queueMs * 0.6);
    else if (next === 'repeat') sender.repeat();
    else if (next === 'lose the other node') sender.loseOtherNode();
    else if (next === 'lose the answers') sender.loseAnswers();
    else if (typeof next === 'object') {
      if ('arrive' in next) sender.arrive(next.arrive);
      else if ('member' in next) await setMember(next.member);
      else if ('send' in next) sender.send(next.send);
      else sender.giveUp(next.giveUp);
    } else {
      if (next === 'fail') store.failing.add('append');
      store.release();
      await settle();
      store.failing.delete('append');
    }
  }
  sender.loseOtherNode();
  await setMember(true);
  // All faults are over: everything must settle.
  for (let round = 0; sender.unacked.length > 0; round++) {
    if (round > 2000) throw new Error(`not settled: ${sender.unacked.map(({ id }) => id).join(' ')}`);
    sender.arrive(3);
    store.release();
    await settle();
    sender.read();
    // A fence that waits for a retry needs real time.
    if (round % 50 === 49) await new Promise((resolve) => setTimeout(resolve, 20));
  }
  node.stop();
  const logs = [HERE, THERE].map((room) => {
    const texts = store.log(room).map(({ text }) => text);
    return texts.filter((text) => !sender.givenUp.has(text));
  });
  return { logs, acked: [...sender.acked] };
}

describe('order of one sender', () => {
  test('random failed commits, full and slow queues, a lost node, lost answers, departures, repetitions and cancelled sends: the logs keep the order and have everything once', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const byNumber = (a: string, b: string) => Number(a.slice(1)) - Number(b.slice(1));
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 60, size: 'max' }),
        fc.integer({ min: 1, max: 6 }),
        async (steps, queueRows) => {
          const { logs, acked } = await play(steps, queueRows);
          for (const log of logs) expect(log).toEqual(log.toSorted(byNumber));
          expect(logs.flat().toSorted(byNumber)).toEqual(acked.toSorted(byNumber));
        },
      ),
      { numRuns: 300 },
    );
  }, 120_000);
});
