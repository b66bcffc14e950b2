/**
 * The store on PostgreSQL: the shared repositories on a pool, plus its own parts. Functions in migrations/postgres
 * append.
 */
import type { Logger } from '../../../common/mod.ts';
import { accountStore } from '../repositories/accounts.ts';
import { retractAllOf } from '../repositories/closings.ts';
import { conversationOf, conversationsOf, membersPage, rolesOf } from '../repositories/conversations.ts';
import { openDirect } from '../repositories/directs.ts';
import { erase, evidenceOf, raiseFloor } from '../repositories/erasure.ts';
import { entriesAt, pinsOf } from '../repositories/log.ts';
import { loginSessionStore } from '../repositories/login-sessions.ts';
import { memberChanges } from '../repositories/membership.ts';
import { presenceStore } from '../repositories/presence.ts';
import { markAllRead, markRead, readersOf, receiptsIn, receiptsOf } from '../repositories/receipts.ts';
import { revocationStore } from '../repositories/revocations.ts';
import { roomStore } from '../repositories/rooms.ts';
import { selfStore } from '../repositories/self.ts';
import { signingKeyStore } from '../repositories/signing-keys.ts';
import { followedThreads, followThread, threadOf } from '../repositories/threads.ts';
import { sql } from '../sql.ts';
import type { StoreEngine } from '../store.ts';
import { PostgresAppender } from './appender.ts';
import { moveCursors } from './cursors.ts';
import { PostgresMemberLists } from './member-lists.ts';
import { PostgresPool } from './pool.ts';
import { history, sync } from './reader.ts';
import type { PostgresTarget } from './url.ts';

export interface PostgresStoreOptions {
  readonly logger: Logger;
  /** Deadline of a call, ms. */
  readonly timeoutMs: number;
  /** Most connections, besides those for appends. */
  readonly connections: number;
}

/** Opens a store on a database prepared by migratePostgres. */
export function postgresStore(target: PostgresTarget, options: PostgresStoreOptions): StoreEngine {
  const pool = new PostgresPool(target, { ...options, max: options.connections });
  const appender = new PostgresAppender(target, options);
  const memberLists = new PostgresMemberLists(pool);
  return {
    ...accountStore(pool),
    ...loginSessionStore(pool),
    ...roomStore(pool),
    ...revocationStore(pool),
    ...selfStore(pool),
    ...presenceStore(pool),
    ...signingKeyStore(pool),
    openDirect: (id, user, peer, device = '') => openDirect(pool, id, user, peer, device),
    conversationsOf: (user, device, after, limit) => conversationsOf(pool, user, device, { after, limit }),
    conversationOf: (id, user, device) => conversationOf(pool, id, user, device),
    rolesOf: (conversation) => rolesOf(pool, conversation),
    membersPage: (conversation, by, after, limit) => membersPage(pool, conversation, by, { after, limit }),
    membersOf: (conversation) => memberLists.membersOf(conversation),
    memberChanges: (conversation, since) => memberChanges(pool, conversation, since),
    append: (drafts, rules, hasFeed = false) => appender.append(drafts, rules, hasFeed),
    history: (conversation, by, point, limit) => history(pool, conversation, by, { point, limit }),
    entriesAt: (conversation, seqs) => entriesAt(pool, conversation, seqs),
    pinsOf: (conversation, by, start, limit) => pinsOf(pool, conversation, by, start, limit),
    sync: (request) => sync(pool, request),
    raiseFloor: (conversation, seq) => pool.transaction((session) => raiseFloor(session, conversation, seq)),
    erase: (limit, nowMs) => erase(pool, limit, nowMs),
    retractAllOf: (user, stamp) => retractAllOf(pool, user, stamp),
    evidenceOf: (conversation, nowMs) => evidenceOf(pool, conversation, nowMs),
    moveCursors: (moves) => moveCursors(pool, moves),
    receiptsOf: (members) => receiptsOf(pool, members),
    receiptsIn: (conversations) => receiptsIn(pool, conversations),
    threadOf: (conversation, by, root, point, limit) =>
      threadOf(pool, conversation, by, root, { point, limit }),
    followedThreads: (user, conversation, after, limit) =>
      followedThreads(pool, user, conversation, { after, limit }),
    followThread: (conversation, by, root, follows) => followThread(pool, conversation, by, root, follows),
    readersOf: (conversation, by, seq, after, limit) =>
      readersOf(pool, conversation, by, { seq, after, limit }),
    markRead: (conversation, by, cursor) => markRead(pool, conversation, by, cursor),
    markAllRead: (user, conversation) => markAllRead(pool, user, conversation),
    ping: async () => {
      await pool.query(sql`select 1`);
    },
    close: async () => {
      await Promise.all([pool.close(), appender.close()]);
    },
  };
}
