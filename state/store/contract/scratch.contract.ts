/** Databases for the tests: empty, of the test file's own, gone afterwards. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout } from 'node:timers/promises';
import pg from 'pg';
import {
  type ConversationId,
  type MessageId,
  silentLogger,
  Snowflake,
  type UserId,
} from '../../../common/mod.ts';
import { accessCheck, type Role } from '../../policy.ts';
import { type Draft, type DurableStore, openStore } from '../mod.ts';
import { columnTypes } from '../postgres/host-pool.ts';
import type {
  Appended,
  DraftEntry,
  EntryRules,
  EntryStamp,
  HistoryPage,
  HistoryPoint,
  Joined,
  ListedConversation,
  SyncRequest,
  SyncResult,
} from '../store.ts';

const MAX_DROPS = 5;
const EVERYTHING = {
  device: '',
  cursors: new Map<ConversationId, number>(),
  after: 0n,
  until: 2n ** 63n - 1n,
  newest: 0,
  limit: 1000,
};
const NO_ENTRY: DraftEntry = {
  kind: 'message',
  target: 0,
  thread: 0,
  targetClientMsgId: '',
  range: undefined,
  reason: '',
};

/** The rules of the suite: as the server's defaults, with round numbers. */
export const RULES: EntryRules = {
  editWindowMs: 1000,
  pin: 'moderator',
  retract: 'moderator',
  evidenceMs: 5000,
};

/** An empty database and a way past the store into it. */
export interface Scratch extends AsyncDisposable {
  readonly url: string;
  /** Runs SQL text. */
  execute(text: string): Promise<void>;
  /** Runs a query; 64-bit integers come as bigint. */
  query(text: string): Promise<Record<string, unknown>[]>;
}

/** Makes a database on the server that GOCHAT_TEST_POSTGRES names. */
export async function scratchPostgres(server = serverUrl()): Promise<Scratch> {
  if (server === undefined || server === '')
    throw new Error(
      'GOCHAT_TEST_POSTGRES is not set. Run the tests with make test, which starts PostgreSQL, or set it to the URL ' +
        'of a server where the tests may create databases: postgres://postgres@127.0.0.1:15432/postgres',
    );
  const name = `gochat_test_${randomBytes(6).toString('hex')}`;
  const admin = openPool(server);
  await admin.query(`create database ${name} template template0 encoding 'UTF8'`);
  const url = server.replace(/(:\/\/[^/]+)\/[^?]*/, `$1/${name}`);
  const pool = openPool(url);
  return {
    url,
    execute: async (text) => {
      await pool.query(text);
    },
    query: async (text) => (await pool.query<Record<string, unknown>>(text)).rows,
    [Symbol.asyncDispose]: async () => {
      await pool.end();
      await drop(admin, name);
      await admin.end();
    },
  };
}

/** Drops a database; again where the server gives up, as it does when an ended connection takes over 5 s to go. */
async function drop(admin: pg.Pool, name: string): Promise<void> {
  for (let left = MAX_DROPS; ; left--) {
    try {
      await admin.query(`drop database if exists ${name} with (force)`);
      return;
    } catch (error) {
      if (left === 1) throw error;
      await setTimeout(1000);
    }
  }
}

function openPool(connectionString: string): pg.Pool {
  const pool = new pg.Pool({ connectionString, max: 1, types: columnTypes });
  // Tests cut connections; the next query opens a new one.
  pool.on('error', () => undefined);
  return pool;
}

function serverUrl(): string | undefined {
  return process.env['GOCHAT_TEST_POSTGRES'];
}

/** Names a file in a folder of its own. */
export async function scratchSqlite(): Promise<Scratch & { readonly path: string; readonly folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'gochat-store-'));
  const path = join(folder, 'chat.db');
  const inside = <T>(work: (database: DatabaseSync) => T): T => {
    const database = new DatabaseSync(path, { timeout: 10_000 });
    try {
      return work(database);
    } finally {
      database.close();
    }
  };
  return {
    url: `sqlite://${path}`,
    path,
    folder,
    execute: async (text) => inside((database) => database.exec(text)),
    query: async (text) =>
      inside((database) => {
        const statement = database.prepare(text);
        statement.setReadBigInts(true);
        return statement.all();
      }),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

let worlds = 0;

/** A number of its own for each world of a process, and for those of processes beside it. */
function nodeNumber(): number {
  return (process.pid * 37 + worlds++) % 1024;
}

/** Makes ids and the things that most tests begin with. */
export class World {
  readonly store: DurableStore;
  readonly #scratch: Scratch | undefined;
  readonly #ids = new Snowflake(nodeNumber());
  #names = 0;

  /** @param scratch for rooms with more than one member */
  constructor(store: DurableStore, scratch?: Scratch) {
    this.store = store;
    this.#scratch = scratch;
  }

  static async open(scratch: Scratch): Promise<World> {
    const store = await openStore(scratch.url, { logger: silentLogger, timeoutMs: 60_000 });
    return new World(store, scratch);
  }

  userId(): UserId {
    return this.#ids.next() as UserId;
  }

  conversationId(): ConversationId {
    return this.#ids.next() as ConversationId;
  }

  messageId(): MessageId {
    return this.#ids.next() as MessageId;
  }

  name(): string {
    return `n${this.#ids.next()}-${++this.#names}`;
  }

  async user(): Promise<UserId> {
    const account = { id: this.userId(), name: this.name(), passwordHash: '$argon2id$x' };
    if (!(await this.store.createAccount(account))) throw new Error(`${account.name} is taken`);
    return account.id;
  }

  /** Makes a room; the first member creates it. The others are in it as if they had joined, but for the entries of that. */
  async room(...members: UserId[]): Promise<ConversationId> {
    const [creator, ...others] = members;
    const owner = creator ?? (await this.user());
    const room = await this.store.createRoom(this.conversationId(), this.name(), owner);
    if (!room) throw new Error('the room name is taken');
    await this.addMembers(room.id, others, 2);
    return room.id;
  }

  /** Adds members past the store; the first gets this member version. */
  async addMembers(room: ConversationId, users: readonly bigint[], version: number): Promise<void> {
    if (users.length === 0) return;
    const rows = users.map((user, index) => `(${room}, ${user}, 0, ${version + index})`);
    await this.execute(`
      insert into members (conversation, user_id, joined_seq, joined_version) values ${rows.join(', ')};
      update conversations
      set member_version = ${version + users.length - 1}, member_count = member_count + ${users.length}
      where id = ${room}`);
  }

  /** Runs SQL past the store. */
  async execute(text: string): Promise<void> {
    if (this.#scratch === undefined) throw new Error('the world has no scratch');
    await this.#scratch.execute(text);
  }

  /** Ids and a time for the SYSTEM entries of a change. */
  stamp(atMs = 0): EntryStamp {
    return { ids: [this.messageId(), this.messageId()], atMs };
  }

  /** Joins; undefined: refused. */
  async joinRoom(room: ConversationId | string, user: UserId, device?: string): Promise<Joined | undefined> {
    const joined = await this.store.joinRoom(room, accessCheck('joinRoom', user), this.stamp(), device);
    return typeof joined === 'string' ? undefined : joined;
  }

  leaveRoom(room: ConversationId, user: UserId): ReturnType<DurableStore['leaveRoom']> {
    return this.store.leaveRoom(room, accessCheck('leaveRoom', user), this.stamp());
  }

  removeMember(room: ConversationId, by: UserId, user: UserId): ReturnType<DurableStore['removeMember']> {
    return this.store.removeMember(room, user, accessCheck('removeMember', by), this.stamp());
  }

  setRole(room: ConversationId, by: UserId, user: UserId, role: Role): ReturnType<DurableStore['setRole']> {
    return this.store.setRole(room, user, role, accessCheck('setRole', by), this.stamp());
  }

  deleteRoom(room: ConversationId, by: UserId): ReturnType<DurableStore['deleteRoom']> {
    return this.store.deleteRoom(room, accessCheck('deleteRoom', by));
  }

  /** Reads a page as a user may; undefined: refused. */
  async page(
    user: UserId,
    conversation: ConversationId,
    point: HistoryPoint = { at: 'before', seq: 0 },
    limit = 1000,
  ): Promise<HistoryPage | undefined> {
    const page = await this.store.history(conversation, accessCheck('getHistory', user), point, limit);
    return typeof page === 'string' ? undefined : page;
  }

  /** Reads back. */
  history(
    user: UserId,
    conversation: ConversationId,
    beforeSeq: number,
    limit: number,
  ): Promise<HistoryPage | undefined> {
    return this.page(user, conversation, { at: 'before', seq: beforeSeq }, limit);
  }

  /** Synchronises an unnamed device that has nothing, or as the fields say. */
  sync(fields: Partial<SyncRequest> & Pick<SyncRequest, 'user'>): Promise<SyncResult> {
    return this.store.sync({ ...EVERYTHING, ...fields });
  }

  /** Lists the conversations of a user on one page. */
  async conversations(user: UserId, device = ''): Promise<readonly ListedConversation[]> {
    return (await this.store.conversationsOf(user, device, '', 1000)).items;
  }

  append(drafts: readonly Draft[]): Promise<readonly Appended[]> {
    return this.store.append(drafts, RULES);
  }

  draft(conversation: ConversationId, sender: UserId, fields: Partial<Draft> = {}): Draft {
    const id = this.messageId();
    return {
      conversation,
      sender,
      id,
      clientMsgId: `c${id}`,
      text: `text ${id}`,
      atMs: 1_760_000_000_000,
      entry: undefined,
      ...fields,
    };
  }

  /** An entry of another kind, or a reply. */
  entry(
    conversation: ConversationId,
    sender: UserId,
    fields: Partial<DraftEntry> & { readonly text?: string },
  ): Draft {
    const {
      text = fields.kind === 'message' || fields.kind === 'edit' ? `text ${++this.#names}` : '',
      ...entry
    } = fields;
    return this.draft(conversation, sender, { text, entry: { ...NO_ENTRY, ...entry } });
  }

  /** Appends `count` messages of a sender. */
  async fill(conversation: ConversationId, sender: UserId, count: number): Promise<void> {
    const drafts = Array.from({ length: count }, () => this.draft(conversation, sender));
    const answers = await this.store.append(drafts, RULES);
    if (!answers.every((answer) => answer.ok)) throw new Error('append was refused');
  }
}

/** Two nodes on one database, for the parts of the suite. */
export interface Nodes {
  readonly a: World;
  readonly b: World;
  readonly scratch: Scratch;
}
