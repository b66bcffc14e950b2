/** Test support: an in-memory SQLite store whose calls can be held, counted and made to fail. */
import { type ConversationId, GochatError, type MessageId, type UserId } from '../../common/mod.ts';
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
  /** Creates a room owned by the first of its members, and missing accounts. Nothing of it is in the log. */
  addRoom(id: bigint, name: string, members: readonly bigint[]): Promise<ConversationId>;
  addMember(room: bigint, user: bigint): Promise<void>;
  /** Makes a member leave; the entry of it has the next seq of the log. */
  leave(room: bigint, user: bigint): Promise<void>;
  /** Returns the messages of a conversation. */
  log(conversation: bigint): Logged[];
  /** Returns the rows of a query. */
  rows(query: string): Record<string, unknown>[];
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
  const addUser = async (user: bigint) => {
    const id = user as UserId;
    const known = await inner.profilesOf([id]);
    if (!known.has(id)) await inner.createAccount({ id, name: `user${user}`, passwordHash: 'x' });
  };
  const insertMember = database.prepare(`
    insert or ignore into members (conversation, user_id, joined_seq, visible_after_seq, read_seq, joined_version, role)
    select id, ?, last_seq, case when hides_history then last_seq else 0 end, 0, member_version + 1, 0
    from conversations where id = ?`);
  const deleteFormer = database.prepare('delete from former_members where user_id = ? and conversation = ?');
  const countMember = database.prepare(`
    update conversations set member_version = member_version + 1, member_count = member_count + 1 where id = ?`);
  const addMember = async (room: bigint, user: bigint) => {
    await addUser(user);
    if (insertMember.run(user, room).changes === 0n) return;
    deleteFormer.run(user, room);
    countMember.run(room);
  };
  let lastId = 1n << 60n;
  const stamp = () => ({ ids: [++lastId, ++lastId] as MessageId[], atMs: 0 });
  const messages = database.prepare(
    'select id, body as text from messages where conversation = ? and kind = 0 order by seq',
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
    async leave(room: bigint, user: bigint) {
      await inner.leaveRoom(room as ConversationId, accessCheck('leaveRoom', user as UserId), stamp());
    },
    rows: (query: string) => database.prepare(query).all(),
    log: (conversation: bigint) => messages.all(conversation) as unknown as Logged[],
  });
}
