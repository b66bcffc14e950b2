/** Test support: an in-memory SQLite store whose calls can be held, counted and made to fail. */
import {
  type ConversationId,
  GochatError,
  type MessageId,
  Snowflake,
  type UserId,
} from '../../common/mod.ts';
import { accessCheck } from '../policy.ts';
import { closeInOrder } from '../store/close-in-order.ts';
import { connect } from '../store/sqlite/database.ts';
import { sqliteEngine } from '../store/sqlite/engine.ts';
import { type EngineCaller, sqliteStore } from '../store/sqlite/store-sqlite.ts';
import { Turns } from '../store/sqlite/turns.ts';
import type { Draft, DurableStore, StoreEngine } from '../store/store.ts';

/** Operations that can be made to fail. */
type Operation = keyof StoreEngine;
type Call = (...args: unknown[]) => Promise<unknown>;

/** The switches. */
class Controls {
  /** The drafts of each append, in order. */
  readonly batches: Draft[][] = [];
  readonly calls = new Map<Operation, number>();
  readonly failing = new Set<Operation>();
  /** Whether appends wait until released. */
  holding = false;
  readonly #held: (() => void)[] = [];

  /** Releases the oldest waiting append. */
  release(): void {
    this.#held.shift()?.();
  }

  /** Wraps a call of the engine with the switches. */
  control(operation: Operation, call: Call): Call {
    return async (...args) => {
      if (operation === 'append') this.batches.push([...(args[0] as readonly Draft[])]);
      if (operation === 'append' && this.holding)
        await new Promise<void>((resolve) => {
          this.#held.push(resolve);
        });
      this.calls.set(operation, (this.calls.get(operation) ?? 0) + 1);
      if (this.failing.has(operation)) throw new GochatError('STORE_UNAVAILABLE');
      return call(...args);
    };
  }
}

/** A message in the log. */
interface Logged {
  readonly id: bigint;
  readonly text: string;
}

/** A store with its switches, and helpers that bypass them. */
export interface TestStore extends DurableStore, Controls {
  /** Creates an account named user1, user2, … unless it exists. */
  addUser(user: bigint): Promise<void>;
  /** Creates a room owned by the first of its members, and missing accounts. */
  addRoom(id: bigint, name: string, members: readonly bigint[]): Promise<ConversationId>;
  addMember(room: bigint, user: bigint): Promise<void>;
  /** Returns the log of a conversation. */
  log(conversation: bigint): Logged[];
}

/** Opens an empty store. It runs on the caller's thread, so a call completes within its turn of the event loop. */
export async function openTestStore(): Promise<TestStore> {
  const database = await connect(':memory:', 0);
  const engine = sqliteEngine(database);
  const turns = new Turns();
  const caller: EngineCaller = {
    call: (method, ...args) => turns.run(() => (engine[method] as Call)(...args) as Promise<never>),
    close: async () => {
      if (database.isOpen) database.close();
    },
  };
  const inner = sqliteStore(caller, caller);
  const controls = new Controls();
  const controlled = Object.entries(inner).map(([name, call]) => [
    name,
    controls.control(name as Operation, call as Call),
  ]);
  const ids = new Snowflake(1023);
  const addUser = async (user: bigint) => {
    const id = user as UserId;
    const known = await inner.profilesOf([id]);
    if (!known.has(id)) await inner.createAccount({ id, name: `user${user}`, passwordHash: 'x' });
  };
  const addMember = async (room: bigint, user: bigint) => {
    await addUser(user);
    const stamp = { ids: [ids.next() as MessageId], atMs: Date.now() };
    await inner.joinRoom(room as ConversationId, accessCheck('joinRoom', user as UserId), stamp);
  };
  const messages = database.prepare(
    'select id, body as text from messages where conversation = ? order by seq',
  );
  return Object.assign(controls, closeInOrder(Object.fromEntries(controlled) as StoreEngine), {
    addUser,
    addMember,
    async addRoom(id: bigint, name: string, members: readonly bigint[]) {
      const [owner] = members as readonly UserId[];
      if (owner === undefined) throw new Error('a room is made by a member');
      await addUser(owner);
      await inner.createRoom(id as ConversationId, name, owner);
      for (const member of members) await addMember(id, member);
      return id as ConversationId;
    },
    log: (conversation: bigint) => messages.all(conversation) as unknown as Logged[],
  });
}
