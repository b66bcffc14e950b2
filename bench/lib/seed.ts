/**
 * Accounts, direct conversations and rooms for the bench, made through the store, and their tokens.
 *
 * Signing up and in through api would cost two Argon2id hashes a user (some 2,000 for one run): minutes of CPU that
 * measure nothing. The accounts made here have no valid password hash, so nobody can log in as them with a password;
 * tokens are signed with the key that state made and keeps in the store, so gateways verify them as any other.
 */
import { importJWK, type JWK, SignJWT } from 'jose';
import {
  type ConversationId,
  type MessageId,
  silentLogger,
  Snowflake,
  type UserId,
} from '../../common/mod.ts';
import pg from 'pg';
import { accessCheck, openStore, type Store } from '../../state/mod.ts';
import type { PlannedConnection } from './load.ts';
import type { Workload } from '../peers/peer.ts';

/** Gateways and state nodes lease numbers from 0 up; this one stays free. */
const SEED_NODE = 1023;
const AT_ONCE = 16;
const NO_PASSWORD = '!';
/** Idle connections of each user: a phone and a desktop. */
const IDLE_DEVICES = 2;

export interface User {
  readonly id: UserId;
  readonly name: string;
  readonly token: string;
}

/** Accounts and conversations of the workloads, created on first use. */
export class Seeds {
  readonly #storeUrl: string;
  readonly #ids = new Snowflake(SEED_NODE);
  readonly #run = `bench-${Date.now().toString(36)}`;
  readonly #users: User[] = [];
  readonly #directs: ConversationId[] = [];
  readonly #rooms = new Map<string, ConversationId>();
  readonly #pairRooms: ConversationId[][] = [];

  constructor(storeUrl: string) {
    this.#storeUrl = storeUrl;
  }

  /** The connections of a workload; an idle one may have several of one user. */
  async connections(workload: Workload): Promise<PlannedConnection[]> {
    const { scenario, connections, roomSize, conversationsPerPair = 1 } = workload;
    await using store = await openStore(this.#storeUrl, { logger: silentLogger });
    const plan = (i: number, sends: boolean, conversation: bigint) => {
      return { conversation, sends, token: (this.#users[i % this.#users.length] as User).token };
    };
    if (scenario === 'idle') {
      await this.#makeUsers(store, Math.ceil(connections / IDLE_DEVICES));
      return Array.from({ length: connections }, (_, i) => plan(i, false, BigInt(i + 1)));
    }
    const count = scenario === 'room' && roomSize === undefined ? connections + 1 : connections;
    await this.#makeUsers(store, count);
    if (scenario === 'room') {
      const size = roomSize ?? count;
      const rooms = await inBatches(Math.ceil(count / size), (room) => this.#room(store, room, size));
      return Array.from({ length: count }, (_, i) =>
        plan(i, i % size === 0, rooms[Math.floor(i / size)] as bigint),
      );
    }
    if (conversationsPerPair > 1) {
      await this.#makePairRooms(count >> 1, conversationsPerPair);
      return Array.from({ length: count }, (_, i) => {
        const conversations = (this.#pairRooms[i >> 1] as ConversationId[]).slice(0, conversationsPerPair);
        return { ...plan(i, true, conversations[0] as bigint), conversations };
      });
    }
    await this.#makeDirects(store, count >> 1);
    return Array.from({ length: count }, (_, i) => plan(i, true, this.#directs[i >> 1] as bigint));
  }

  /** So many users with their tokens, one client each. */
  async users(count: number): Promise<readonly User[]> {
    await using store = await openStore(this.#storeUrl, { logger: silentLogger });
    await this.#makeUsers(store, count);
    return this.#users.slice(0, count);
  }

  async #makeUsers(store: Store, count: number): Promise<void> {
    const signing = (await store.signingKeys()).at(-1);
    if (signing === undefined) throw new Error('state has not made its key yet');
    const key = await importJWK(JSON.parse(signing.privateJwk) as JWK, 'EdDSA');
    const from = this.#users.length;
    const made = await inBatches(Math.max(0, count - from), async (i): Promise<User> => {
      const id = this.#ids.next() as UserId;
      const name = `${this.#run}-${from + i}`;
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
    this.#users.push(...made);
  }

  async #makeDirects(store: Store, count: number): Promise<void> {
    const from = this.#directs.length;
    const made = await inBatches(Math.max(0, count - from), async (i) => {
      const pair = 2 * (from + i);
      return (await store.openDirect(this.#nextId(), this.#user(pair), this.#user(pair + 1))).id;
    });
    this.#directs.push(...made);
  }

  /** The room of the `size` users from `number` × size on. */
  async #room(store: Store, number: number, size: number): Promise<ConversationId> {
    const name = `${this.#run}-${number}-of-${size}`;
    const known = this.#rooms.get(name);
    if (known !== undefined) return known;
    const room = await store.createRoom(this.#nextId(), name, this.#user(number * size));
    if (room === undefined) throw new Error(`The room ${name} is there already.`);
    const last = Math.min((number + 1) * size, this.#users.length) - 1;
    await inBatches(last - number * size, (i) =>
      store.joinRoom(room.id, accessCheck('joinRoom', this.#user(number * size + i + 1)), {
        ids: [this.#ids.next() as MessageId],
        atMs: Date.now(),
      }),
    );
    this.#rooms.set(name, room.id);
    return room.id;
  }

  /** Hundreds of thousands of rooms of two, written directly into PostgreSQL. */
  async #makePairRooms(pairs: number, each: number): Promise<void> {
    const client = new pg.Client({ connectionString: this.#storeUrl });
    await client.connect();
    try {
      for (let pair = 0; pair < pairs; pair++) {
        const rooms = (this.#pairRooms[pair] ??= []);
        const made = Array.from({ length: Math.max(0, each - rooms.length) }, () => this.#nextId());
        if (made.length === 0) continue;
        rooms.push(...made);
        const users = [this.#user(2 * pair), this.#user(2 * pair + 1)];
        await client.query(
          `with made as (
             insert into conversations (id, kind, name, active_at_ms, member_count, owner)
             select id, 'room', $3 || id, 0, 2, ($2::bigint[])[1] from unnest($1::bigint[]) as id returning id
           )
           insert into members (conversation, user_id, joined_seq)
           select made.id, u, 0 from made, unnest($2::bigint[]) as u`,
          [made, users, `${this.#run}-pair-`],
        );
      }
    } finally {
      await client.end();
    }
  }

  #nextId(): ConversationId {
    return this.#ids.next() as ConversationId;
  }

  #user(i: number): UserId {
    return (this.#users[i] as User).id;
  }
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
