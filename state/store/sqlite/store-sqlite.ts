/** The store on SQLite: passes each call to a worker thread with the open file (see engine.ts). */
import type { ConversationId } from '../../../common/mod.ts';
import { MEMBERS_A_TURN, withChanges } from '../member-pieces.ts';
import type { Member, MemberList, StoreEngine } from '../store.ts';
import { cursorsToJson, foreignOf } from '../sync-page.ts';
import { SqliteClient, type SqliteClientOptions } from './client.ts';
import type { Method, SqliteEngine } from './engine.ts';

/** Caller of an engine. */
export interface EngineCaller {
  call<M extends Method>(
    method: M,
    ...args: Parameters<SqliteEngine[M]>
  ): Promise<Awaited<ReturnType<SqliteEngine[M]>>>;
  close(): Promise<void>;
}

type Calls<M extends Method> = {
  [K in M]: (...args: Parameters<SqliteEngine[K]>) => Promise<Awaited<ReturnType<SqliteEngine[K]>>>;
};

/** Opens the file, creating it if missing, and migrates it to this release's schema. */
export async function openSqlite(path: string, options: SqliteClientOptions): Promise<StoreEngine> {
  const writer = await SqliteClient.open(path, 'sqlite-worker', options);
  try {
    return sqliteStore(writer, await SqliteClient.open(path, 'sqlite-reader', options));
  } catch (error) {
    await writer.close();
    throw error;
  }
}

/**
 * One worker writes and answers quick calls. Calls that may take some ms, pages and lists, go to another one, so that
 * no commit waits for them: readers of the write-ahead log see everything committed before they started.
 */
export function sqliteStore(writer: EngineCaller, reader: EngineCaller): StoreEngine {
  return {
    ...callsOf(writer, [
      'createAccount',
      'findAccount',
      'createRoom',
      'joinRoom',
      'leaveRoom',
      'removeMember',
      'setRole',
    ]),
    ...callsOf(writer, ['setDisplayName', 'deleteRoom', 'openDirect', 'append', 'moveCursors', 'revoke']),
    ...callsOf(writer, ['setSettings', 'setMute', 'saveDraft', 'noteSeen', 'followThread', 'markAllRead']),
    ...callsOf(writer, ['signingKeys', 'addSigningKey', 'replaceSigningKey', 'removeSigningKey']),
    ...callsOf(writer, ['accountOf', 'createBot', 'setPasswordHash', 'setAccountState', 'setAdmin']),
    ...callsOf(writer, [
      'closeAccount',
      'closings',
      'removeClosing',
      'retractAllOf',
      'findIdentity',
      'createIdentity',
    ]),
    ...callsOf(writer, ['addSession', 'rotateSession', 'sessionsOf', 'removeSessions']),
    ...callsOf(writer, ['raiseFloor', 'erase', 'revocations', 'ping']),
    ...callsOf(reader, [
      'accountsPage',
      'botsOf',
      'roomsOf',
      'profilesOf',
      'profilesSince',
      'receiptsOf',
      'receiptsIn',
      'readersOf',
      'countMembers',
      'markRead',
      'acquaintancesOf',
      'memberCountsOf',
      'seenOf',
      'settingsOf',
      'settingsSince',
      'selfOf',
      'listRooms',
      'conversationsOf',
      'conversationOf',
      'rolesOf',
      'membersPage',
      'memberChanges',
      'history',
      'entriesAt',
      'pinsOf',
      'threadOf',
      'followedThreads',
      'evidenceOf',
    ]),
    membersOf: (conversation) => membersOf(reader, conversation),
    sync: async ({ cursors, pushed, ...request }) => {
      const given = { cursors: cursorsToJson(cursors), pushed: cursorsToJson(pushed) };
      const { foreign, gone, ...page } = await reader.call('sync', { ...request, ...given });
      return { ...page, gone: gone.concat(foreignOf(foreign)) };
    },
    close: async () => {
      await reader.close();
      await writer.close();
    },
  };
}

/** Reads page by page, as a reply is handled within one turn; changes meanwhile are applied at the end. */
async function membersOf(
  reader: EngineCaller,
  conversation: ConversationId,
): Promise<MemberList | undefined> {
  const first = await reader.call('memberRows', conversation, 0n);
  if (first === undefined || first.members.length < MEMBERS_A_TURN) return first;
  const members: Member[] = [...first.members];
  let page: MemberList | undefined = first;
  while (page?.members.length === MEMBERS_A_TURN) {
    page = await reader.call('memberRows', conversation, (members.at(-1) as Member).user);
    members.push(...(page?.members ?? []));
  }
  const changes = await reader.call('memberChanges', conversation, first.version);
  if (changes === undefined) return membersOf(reader, conversation);
  return changes.version === first.version
    ? { version: first.version, members }
    : withChanges(members, changes);
}

function callsOf<M extends Method>(caller: EngineCaller, methods: readonly M[]): Calls<M> {
  const calls = methods.map((method) => [
    method,
    (...args: Parameters<SqliteEngine[M]>) => caller.call(method, ...args),
  ]);
  return Object.fromEntries(calls) as Calls<M>;
}
