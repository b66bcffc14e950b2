/** The store's calls on an open SQLite database; runs on the worker thread, one call at a time. */
import type { DatabaseSync } from 'node:sqlite';
import type { ConversationId, UserId } from '../../../common/mod.ts';
import { accountStore } from '../repositories/accounts.ts';
import { conversationOf, conversationsOf, rolesOf } from '../repositories/conversations.ts';
import { openDirect } from '../repositories/directs.ts';
import { memberChanges } from '../repositories/membership.ts';
import { revocationStore } from '../repositories/revocations.ts';
import { roomStore } from '../repositories/rooms.ts';
import { type SigningKeys, signingKeys } from '../repositories/signing-keys.ts';
import { sql } from '../sql.ts';
import type { MemberList, StoreEngine } from '../store.ts';
import { appendDrafts } from './append.ts';
import { SqliteConnection } from './connection.ts';
import { moveCursors } from './cursors.ts';
import { membersPage } from './member-lists.ts';
import { history, sync, type SyncAnswer, type SyncQuestion } from './reader.ts';

/** Values passed between threads as they are. */
export interface SqliteEngine
  extends Omit<StoreEngine, 'signingKey' | 'membersOf' | 'sync' | 'close'>,
    SigningKeys {
  membersPage(conversation: ConversationId, after: UserId | 0n): Promise<MemberList | undefined>;
  sync(question: SyncQuestion): Promise<SyncAnswer>;
}

export type Method = keyof SqliteEngine;

/** Each call that writes is one transaction, or several of which each may be repeated; durable when it resolves. */
export function sqliteEngine(database: DatabaseSync): SqliteEngine {
  const connection = new SqliteConnection(database);
  return {
    ...accountStore(connection),
    ...roomStore(connection),
    ...revocationStore(connection),
    ...signingKeys(connection),
    openDirect: (id, user, peer, device = '') => openDirect(connection, id, user, peer, device),
    conversationsOf: (user, device) => conversationsOf(connection, user, device),
    conversationOf: (id, user, device) => conversationOf(connection, id, user, device),
    rolesOf: (conversation) => rolesOf(connection, conversation),
    membersPage: async (conversation, after) => membersPage(connection, conversation, after),
    memberChanges: (conversation, since) => memberChanges(connection, conversation, since),
    append: (drafts) => connection.transaction(async () => appendDrafts(connection, drafts)),
    history: async (conversation, by, beforeSeq, limit) =>
      history(connection, conversation, by, { beforeSeq, limit }),
    sync: async (question) => connection.snapshot(() => sync(connection, question)),
    moveCursors: (moves) => connection.transaction(async () => moveCursors(connection, moves)),
    ping: async () => {
      connection.rows(sql`select 1 from gochat_migrations limit 1`);
    },
  };
}
