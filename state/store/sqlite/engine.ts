/** The store's calls on an open SQLite database; runs on the worker thread, one call at a time. */
import type { DatabaseSync } from 'node:sqlite';
import type { ConversationId, UserId } from '../../../common/mod.ts';
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
import type { MemberList, StoreEngine } from '../store.ts';
import { appendDrafts } from './append.ts';
import { SqliteConnection } from './connection.ts';
import { moveCursors } from './cursors.ts';
import { memberRows } from './member-lists.ts';
import { history, sync, type SyncAnswer, type SyncQuestion } from './reader.ts';

/** Values passed between threads as they are. */
export interface SqliteEngine extends Omit<StoreEngine, 'membersOf' | 'sync' | 'close'> {
  memberRows(conversation: ConversationId, after: UserId | 0n): Promise<MemberList | undefined>;
  sync(question: SyncQuestion): Promise<SyncAnswer>;
}

export type Method = keyof SqliteEngine;

/** Each call that writes is one transaction, or several of which each may be repeated; durable when it resolves. */
export function sqliteEngine(database: DatabaseSync): SqliteEngine {
  const connection = new SqliteConnection(database);
  return {
    ...accountStore(connection),
    ...loginSessionStore(connection),
    ...roomStore(connection),
    ...revocationStore(connection),
    ...selfStore(connection),
    ...presenceStore(connection),
    ...signingKeyStore(connection),
    openDirect: (id, user, peer, device = '') => openDirect(connection, id, user, peer, device),
    conversationsOf: (user, device, after, limit) =>
      conversationsOf(connection, user, device, { after, limit }),
    conversationOf: (id, user, device) => conversationOf(connection, id, user, device),
    rolesOf: (conversation) => rolesOf(connection, conversation),
    membersPage: (conversation, by, after, limit) =>
      membersPage(connection, conversation, by, { after, limit }),
    memberRows: async (conversation, after) => memberRows(connection, conversation, after),
    memberChanges: (conversation, since) => memberChanges(connection, conversation, since),
    append: (drafts, rules, hasFeed = false) =>
      connection.transaction(async () => appendDrafts(connection, drafts, rules, hasFeed)),
    history: async (conversation, by, point, limit) =>
      connection.snapshot(() => history(connection, conversation, by, { point, limit })),
    entriesAt: (conversation, seqs) => entriesAt(connection, conversation, seqs),
    pinsOf: (conversation, by, start, limit) => pinsOf(connection, conversation, by, start, limit),
    sync: async (question) => connection.snapshot(() => sync(connection, question)),
    raiseFloor: (conversation, seq) =>
      connection.transaction((session) => raiseFloor(session, conversation, seq)),
    erase: (limit, nowMs) => erase(connection, limit, nowMs),
    retractAllOf: (user, stamp) => retractAllOf(connection, user, stamp),
    evidenceOf: (conversation, nowMs) => evidenceOf(connection, conversation, nowMs),
    moveCursors: (moves) => connection.transaction(async () => moveCursors(connection, moves)),
    receiptsOf: (members) => receiptsOf(connection, members),
    receiptsIn: (conversations) => receiptsIn(connection, conversations),
    threadOf: (conversation, by, root, point, limit) =>
      threadOf(connection, conversation, by, root, { point, limit }),
    followedThreads: (user, conversation, after, limit) =>
      followedThreads(connection, user, conversation, { after, limit }),
    followThread: (conversation, by, root, follows) =>
      followThread(connection, conversation, by, root, follows),
    readersOf: (conversation, by, seq, after, limit) =>
      readersOf(connection, conversation, by, { seq, after, limit }),
    markRead: (conversation, by, cursor) => markRead(connection, conversation, by, cursor),
    markAllRead: (user, conversation) => markAllRead(connection, user, conversation),
    ping: async () => {
      connection.rows(sql`select 1 from gochat_migrations limit 1`);
    },
  };
}
