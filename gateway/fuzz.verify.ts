/** Mutated frames through the parser, the JSON codec and a real worker; GOCHAT_TEST_FUZZ_FRAMES and _SEED decide how many, and which. */
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { FrameParser, frameFromJson, FrameType } from '../proto/mod.ts';
import { TestClient } from './testing/test-client.ts';
import { JsonClient } from './testing/test-json-client.ts';
import { heldBytes } from './testing/test-memory.ts';
import { TestNode } from './testing/test-node.ts';
import { FakeState } from './testing/test-state.ts';
import { TokenMaker } from './testing/test-tokens.ts';

const FRAMES = Number(process.env['GOCHAT_TEST_FUZZ_FRAMES'] ?? 10_000_000);
const SEED = Number(process.env['GOCHAT_TEST_FUZZ_SEED'] ?? 1);
const BATCH = 64;
const PER_CONNECTION = 1000;
const MAX_FRAME_BYTES = 4096;
/** One connection in so many speaks JSON. */
const JSON_EVERY = 20;
/** A run of ten million takes minutes. */
const DEADLINE_MS = 60_000 + FRAMES / 5;
/** Largest growth of memory between a fifth of a run and its end: garbage and code, not frames. */
const MAX_GROWTH_BYTES = 16 * 1024 * 1024;

// JSON.parse throws for most texts: traces that nobody reads would take half of the run's time.
Error.stackTraceLimit = 0;

/** Looks at what the process holds when a fifth of a run is done, and at its end. */
class Leak {
  #heldBytes: number | undefined;

  /** Whether it is time to look. @param done frames so far */
  isDue(done: number): boolean {
    return this.#heldBytes === undefined && done >= FRAMES / 5;
  }

  async look(): Promise<void> {
    this.#heldBytes = await heldBytes();
  }

  /** Fails where much more is held than there was. */
  async judge(): Promise<void> {
    expect((await heldBytes()) - (this.#heldBytes ?? 0)).toBeLessThan(MAX_GROWTH_BYTES);
  }
}

const vectors = (file: string) =>
  JSON.parse(readFileSync(new URL(`../proto/vectors/${file}`, import.meta.url), 'utf8')) as unknown;
const CORPUS = (vectors('frames.json') as { hex: string; type: string }[])
  // These end the connection, or begin it.
  .filter(({ type }) => type !== 'CLOSE' && type !== 'HELLO')
  .map(({ hex }) => Buffer.from(hex, 'hex'));
const TEXTS = (vectors('json.json') as { frames: { json: unknown }[] }).frames.map(({ json }) =>
  JSON.stringify(json),
);

/** Numerical Recipes' generator: the same run for the same seed. */
class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  below(bound: number): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.#state / 0x1_0000_0000) * bound);
  }
}

/** Changes bytes behind the length field; one in `wild` loses what keeps the stream in step. */
function mutate(random: Random, wild: number): Buffer {
  const frame = Buffer.from(CORPUS[random.below(CORPUS.length)] as Buffer);
  for (let left = random.below(4); left > 0; left--)
    frame[4 + random.below(frame.length - 4)] = random.below(256);
  // A goodbye would end the connection in good order, which is not what is looked for.
  if (frame[4] === FrameType.CLOSE) frame[4] = FrameType.PING;
  if (random.below(wild) > 0) return frame;
  frame[random.below(4)] = random.below(256);
  return frame.subarray(0, 1 + random.below(frame.length));
}

/** Changes up to two characters of a frame's JSON. */
function mutateText(random: Random): string {
  const text = Buffer.from(TEXTS[random.below(TEXTS.length)] as string);
  for (let left = random.below(3); left > 0; left--) text[random.below(text.length)] = random.below(128);
  return text.toString();
}

/** Cuts a stream into frames, read in pieces of at most `most` bytes. */
function parse(stream: Buffer, random: Random, most: number): unknown {
  const parser = new FrameParser(MAX_FRAME_BYTES);
  const frames: number[] = [];
  for (let at = 0; at < stream.length; ) {
    const end = Math.min(stream.length, at + 1 + random.below(most));
    const fault = parser.push(stream.subarray(at, end), (frame) => {
      frames.push(frame.length, frame[4] as number, frame.at(-1) as number);
      return true;
    });
    if (fault !== undefined) return { frames, fault };
    if (parser.pendingBytes > MAX_FRAME_BYTES + 4) return { frames, pending: parser.pendingBytes };
    at = end;
  }
  return { frames, fault: undefined };
}

test(
  `parser, seed ${SEED}: ${FRAMES} mutated frames are cut the same, however they are read`,
  async () => {
    const random = new Random(SEED);
    const leak = new Leak();
    for (let done = 0; done < FRAMES; done += BATCH) {
      if (leak.isDue(done)) await leak.look();
      const stream = Buffer.concat(Array.from({ length: BATCH }, () => mutate(random, 200)));
      const whole = JSON.stringify(parse(stream, random, stream.length * 1e9));
      const pieces = JSON.stringify(parse(stream, random, 1 + random.below(200)));
      if (whole !== pieces) expect([done, pieces]).toEqual([done, whole]);
    }
    await leak.judge();
  },
  DEADLINE_MS,
);

test(
  `JSON codec, seed ${SEED}: a mutated text is a frame or a fault, and never throws`,
  async () => {
    const random = new Random(SEED);
    const leak = new Leak();
    let frames = 0;
    for (let done = 0; done < FRAMES; done++) {
      if (leak.isDue(done)) await leak.look();
      if (frameFromJson(mutateText(random)) instanceof Uint8Array) frames++;
    }
    await leak.judge();
    expect(frames).toBeGreaterThan(FRAMES / 10);
    expect(frames).toBeLessThan(FRAMES);
  },
  DEADLINE_MS,
);

test(
  `a real worker, seed ${SEED}: ${FRAMES} mutated frames, no connection is stuck and others are served`,
  async () => {
    const tokens = await TokenMaker.make();
    const token = await tokens.token(2n);
    await using state = await FakeState.start();
    // Payloads are the state node's matter, and another test's.
    Object.assign(state, { onFrame: () => undefined });
    // The bystander is silent until the end, which may be minutes away.
    const limits = { framesPerSecond: 1e7, bytesPerSecond: 1e9, heartbeatIntervalMs: 3_600_000 };
    await using node = await TestNode.start(tokens, [state], limits);
    const bystander = await node.tcp();
    await bystander.login(await tokens.token(1n));
    const random = new Random(SEED);
    const [host = '', port] = node.address.split(':');
    const tcp = async (frames: number): Promise<void> => {
      const socket = connect({ host, port: Number(port) });
      const client = new TestClient(socket);
      await client.login(token);
      // The end of the stream makes the worker read all of it, unless it finds a fault first.
      socket.end(Buffer.concat(Array.from({ length: frames }, () => mutate(random, 5000))));
      await client.closed;
    };
    const json = async (frames: number): Promise<void> => {
      const client = await JsonClient.open(node.wsAddress);
      await client.login(token);
      for (let left = frames; left > 0; left--) client.socket.send(mutateText(random));
      client.destroy();
      await client.closed;
    };
    const leak = new Leak();
    let done = 0;
    for (let connection = 1; done < FRAMES; connection++) {
      const frames = Math.min(PER_CONNECTION, FRAMES - done);
      await (connection % JSON_EVERY === 0 ? json : tcp)(frames);
      done += frames;
      if (leak.isDue(done)) await leak.look();
    }
    await expect.poll(() => node.node.size).toBe(1);
    bystander.write(Buffer.from([0, 0, 0, 12, FrameType.PING, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0]));
    await bystander.next(FrameType.PONG, (frame) => frame.ref === 7);
    expect(node.node.stats.framesIn).toBeGreaterThan(FRAMES / 4);
    await leak.judge();
  },
  DEADLINE_MS,
);
