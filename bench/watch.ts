/**
 * Presence at a state node: users watch each other, and a share of them changes each second. Prints the CPU time and the memory
 * of it: `node --expose-gc bench/watch.ts`.
 */
import { silentLogger, type SessionId, type UserId } from '../common/mod.ts';
import { DEFAULT_SETTINGS } from '../proto/mod.ts';
import { PresenceNews } from '../state/delivery/presence-news.ts';
import type { Downlink } from '../state/session/downlink.ts';
import { LocationMap } from '../state/session/location-map.ts';
import { Presence } from '../state/session/presence.ts';
import { WatchBook } from '../state/session/watch-book.ts';

const USERS = 100_000;
const WATCHED = 50;
/** Conversations of a watch, for its memory. */
const ALONE = 8;
const STREAMS = 4;
/** Share of the users who come or go each second. */
const CHANGING = 0.01;
const SECONDS = 20;
/** Steps of a second, in which the changes are spread. */
const STEPS = 10;
const FIRST_ID = 200_000_000_000_000_000n;

const collect = globalThis.gc;
if (collect === undefined) throw new Error('run it with --expose-gc');
const used = (): number => {
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
};
const userOf = (i: number) => (FIRST_ID + BigInt(i) * 4096n) as UserId;

let pushed = 0;
let lateMs = 0;
/** When each change was made that is not told yet. */
const begun: number[] = [];
const locations = new LocationMap<Downlink>();
for (let stream = 0; stream < STREAMS; stream++) {
  const link = {
    push: ({ conns }: { conns: readonly number[] }) => {
      pushed += conns.length;
      return true;
    },
  } as unknown as { index: number } & Downlink;
  Object.assign(link, { index: locations.open(link) });
}
const watches = new WatchBook();
const seen = async () => {
  for (const at of begun.splice(0)) lateMs = Math.max(lateMs, performance.now() - at);
  return new Map<UserId, number>();
};
const presence: Presence = new Presence({
  locations,
  graceMs: 30_000,
  isWatched: (user) => watches.hasUser(user),
  onChange: (user) => news.changed(user),
});
const news = new PresenceNews({
  store: { seenOf: seen },
  // All are cached, with their defaults.
  settings: { of: async () => () => DEFAULT_SETTINGS },
  presence,
  lastSeen: { noted: () => Date.now() },
  watches,
  locations,
  logger: silentLogger,
});
const attach = (i: number) =>
  presence.during(userOf(i), () => {
    locations.attach(i % STREAMS, {
      conn: i + 1,
      user: userOf(i),
      userName: 'somebody',
      device: 'phone',
      unnamed: false,
      session: BigInt(i + 1) as SessionId,
      epoch: 1n,
      token: 1n,
      claimedHere: false,
    });
  });

for (let i = 0; i < USERS; i++) attach(i);
const before = used();
for (let i = 0; i < USERS; i++) {
  const users = Array.from({ length: WATCHED }, (_, k) => ({
    user: userOf((i + 1 + k * 1009) % USERS),
    sharesRoom: true,
  }));
  watches.set(i % STREAMS, i + 1, userOf(i), [], users);
}
const bytes = (used() - before) / USERS;

const cpuBefore = process.cpuUsage();
const began = performance.now();
for (let step = 0; step < SECONDS * STEPS; step++) {
  for (let k = 0; k < (USERS * CHANGING) / STEPS; k++) {
    // Who has gone comes back a second later.
    const i = ((step % STEPS) * 7919 + k * 97 + Math.floor(step / STEPS / 2) * 13) % USERS;
    begun.push(performance.now());
    if (locations.isOnline(userOf(i))) {
      presence.during(userOf(i), () => void locations.detach(i % STREAMS, i + 1));
    } else attach(i);
  }
  const next = began + ((step + 1) * 1000) / STEPS;
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, next - performance.now())));
}
await new Promise((resolve) => setTimeout(resolve, 500));
const { user, system } = process.cpuUsage(cpuBefore);
const cores = (user + system) / 1000 / (performance.now() - began);
news.stop();

// Conversations that nobody else watches: each has an index cell of its own.
const alone = new WatchBook();
const beforeAlone = used();
for (let i = 0; i < USERS; i++)
  alone.set(
    i % STREAMS,
    i + 1,
    userOf(i),
    Array.from({ length: ALONE }, (_, k) => userOf(i * ALONE + k)),
    [],
  );
const bytesAlone = (used() - beforeAlone) / alone.size;

const figures = {
  users: USERS,
  watched: WATCHED,
  'changes a second': USERS * CHANGING,
  'pushes a second': Math.round(pushed / SECONDS),
  'cores of a state node': cores,
  'longest wait for the look-up of a change, ms': Math.round(lateMs),
  'bytes of a watch': bytes,
  'bytes allowed': 200 + 40 * WATCHED,
  'bytes of a watch of 8 conversations': bytesAlone,
  'bytes allowed for that': 200 + 40 * ALONE,
};
process.stdout.write(`${JSON.stringify(figures)}\n`);
