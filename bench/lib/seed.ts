/**
 * Accounts, direct conversations and a room for the bench, made through the store, and their tokens.
 *
 * Signing up and in through api would cost two Argon2id hashes a user (some 2,000 for one run): minutes of CPU that
 * measure nothing. The accounts made here have no valid password hash, so nobody can log in as them with a password;
 * tokens are signed with the key that state made and keeps in the store, so gateways verify them as any other.
 */
import { importJWK, type JWK, SignJWT } from 'jose';
import { type ConversationId, silentLogger, Snowflake, type UserId } from '../../common/mod.ts';
import { openStore } from '../../state/mod.ts';
import type { PlannedConnection } from './load.ts';
import type { Workload } from '../peers/peer.ts';

/** Ids of gateways and state nodes are leased from 0 up; this one stays free. */
const SEED_NODE = 1023;
const AT_ONCE = 16;
const NO_PASSWORD = '!';

interface User {
  readonly id: UserId;
  readonly name: string;
  readonly token: string;
}

/** Who there is to connect as, and where they may talk. */
export class Seeded {
  readonly #users: readonly User[];
  readonly #directs: readonly ConversationId[];
  readonly #room: ConversationId;

  constructor(users: readonly User[], directs: readonly ConversationId[], room: ConversationId) {
    this.#users = users;
    this.#directs = directs;
    this.#room = room;
  }

  /** The connections of a workload; an idle one may have several of one user. */
  connections({ scenario, connections }: Workload): PlannedConnection[] {
    const count = scenario === 'room' ? connections + 1 : connections;
    return Array.from({ length: count }, (_, i) => {
      const token = (this.#users[i % this.#users.length] as User).token;
      if (scenario === 'room') return { conversation: this.#room, sends: i === 0, token };
      if (scenario === 'idle') return { conversation: BigInt(i + 1), sends: false, token };
      return { conversation: this.#directs[i >> 1] as ConversationId, sends: true, token };
    });
  }
}

/** Makes `members` + 1 accounts, a direct conversation for each two of them, and a room of all. */
export async function seed(storeUrl: string, members: number): Promise<Seeded> {
  await using store = await openStore(storeUrl, { logger: silentLogger });
  const signing = await store.signingKey(() => Promise.reject(new Error('state has not made its key yet')));
  const key = await importJWK(JSON.parse(signing.privateJwk) as JWK, 'EdDSA');
  const ids = new Snowflake(SEED_NODE);
  const run = Date.now().toString(36);

  const users = await inBatches(members + 1, async (i): Promise<User> => {
    const id = ids.next() as UserId;
    const name = `bench-${run}-${i}`;
    if ((await store.createAccount({ id, name, passwordHash: NO_PASSWORD })) === undefined)
      throw new Error(`The account ${name} is there already.`);
    const token = await new SignJWT({ name })
      .setProtectedHeader({ alg: 'EdDSA', kid: signing.kid })
      .setIssuer('gochat')
      .setAudience('gochat')
      .setSubject(String(id))
      .setIssuedAt()
      .setExpirationTime('2h')
      .sign(key);
    return { id, name, token };
  });
  const conversationId = () => ids.next() as ConversationId;
  const user = (i: number) => (users[i] as User).id;
  const directs = await inBatches(
    members >> 1,
    async (i) => (await store.openDirect(conversationId(), user(2 * i), user(2 * i + 1))).id,
  );
  const room = await store.createRoom(conversationId(), `bench-${run}`, user(0));
  if (room === undefined) throw new Error(`The room bench-${run} is there already.`);
  await inBatches(members, (i) => store.joinRoom(room.id, user(i + 1)));
  return new Seeded(users, directs, room.id);
}

async function inBatches<T>(count: number, make: (i: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  while (results.length < count) {
    const from = results.length;
    const size = Math.min(AT_ONCE, count - from);
    results.push(...(await Promise.all(Array.from({ length: size }, (_, i) => make(from + i)))));
  }
  return results;
}
