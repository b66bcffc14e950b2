/** Fills the location map and prints its memory per device: `node --expose-gc bench/location-map.ts`. */
import type { SessionId, UserId } from '../common/mod.ts';
import { LocationMap } from '../state/session/location-map.ts';

const DEVICES = 1_000_000;
const FIRST_ID = 200_000_000_000_000_000n;

const collect = globalThis.gc;
if (collect === undefined) throw new Error('run it with --expose-gc');
const used = (): number => {
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
};

const before = used();
const map = new LocationMap<object>();
const streams = [map.open({}), map.open({})];
for (let i = 0; i < DEVICES; i++) {
  map.attach(streams[i % 2] as number, {
    conn: (i >> 1) + 1,
    user: (FIRST_ID + BigInt(i) * 4096n) as UserId,
    // Separate strings, as when they are decoded from a frame.
    userName: Buffer.from(`user-${i}`).toString(),
    device: Buffer.from('phone').toString(),
    unnamed: false,
    session: (FIRST_ID + BigInt(i)) as SessionId,
    epoch: 1n,
    token: BigInt(i),
    claimedHere: true,
  });
}
const bytes = (used() - before) / map.size;
process.stdout.write(`${JSON.stringify({ devices: map.size, 'bytes per device': bytes })}\n`);
