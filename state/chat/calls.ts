/** The calls of REQUEST: the handler of each. docs/architecture.md, "How to add a call". */
import type { client } from '../../proto/mod.ts';
import type { Bots } from '../identity/bots.ts';
import type { OwnAccount } from '../identity/own-account.ts';
import type { ServerAdmin } from '../identity/server-admin.ts';
import type { StateMetrics } from '../metrics.ts';
import type { Caller } from '../session/location-map.ts';
import type { Log } from './log.ts';
import type { Membership } from './membership.ts';
import type { People } from './people.ts';
import type { Presences } from './presences.ts';
import type { Rooms } from './rooms.ts';
import type { SelfState } from './self.ts';
import type { Threads } from './threads.ts';

type Call = NonNullable<client.Request['call']>;
type Result = NonNullable<client.Response['result']>;
type Arguments<Name extends Call['$case']> =
  Extract<Call, { $case: Name }> extends Readonly<Record<Name, infer Fields>> ? Fields : never;

/** Answers a call on the conversation `key`. @throws GochatError the caller's error */
type Handler<Fields> = (caller: Caller, key: bigint, fields: Fields) => Promise<Result>;

/**
 * A handler for each case of REQUEST's oneof.
 *
 * Each is safe to repeat: clients and the API server repeat a call whose answer is lost. The requirements of each on
 * its caller are in ../policy.ts.
 */
export type CallHandlers = { readonly [Name in Call['$case']]: Handler<Arguments<Name>> };

export interface CallHandlersOptions {
  readonly ownAccount: OwnAccount;
  readonly bots: Bots;
  readonly admin: ServerAdmin;
  readonly log: Log;
  readonly people: People;
  readonly rooms: Rooms;
  readonly membership: Membership;
  readonly self: SelfState;
  readonly presences: Presences;
  readonly threads: Threads;
  readonly metrics: Pick<StateMetrics, 'syncs'>;
}

const DONE: Result = { $case: 'done', done: {} };

export function callHandlers(options: CallHandlersOptions): CallHandlers {
  const { ownAccount, bots, admin, log, people, rooms, membership, self, presences, threads, metrics } =
    options;
  return {
    async sync(caller, _key, request) {
      metrics.syncs.add(1);
      return { $case: 'sync', sync: await log.sync(caller, request) };
    },
    async openDirect(caller, _key, { userName }) {
      return { $case: 'conversation', conversation: await membership.openDirect(caller, userName) };
    },
    async createRoom(caller, _key, { name, hideHistory }) {
      return { $case: 'conversation', conversation: await membership.create(caller, name, hideHistory) };
    },
    async joinRoom(caller, _key, { room }) {
      return { $case: 'conversation', conversation: await membership.join(caller, room) };
    },
    async leaveRoom(caller, key) {
      await membership.leave(caller, key);
      return DONE;
    },
    async removeMember(caller, key, { user }) {
      await membership.remove(caller, key, user);
      return DONE;
    },
    async setRole(caller, key, { user, role }) {
      await membership.setRole(caller, key, user, role);
      return DONE;
    },
    async deleteRoom(caller, key) {
      await membership.delete(caller, key);
      return DONE;
    },
    async listConversations(caller, _key, page) {
      return { $case: 'conversations', conversations: await rooms.conversations(caller, page) };
    },
    async getConversation(caller, key) {
      return { $case: 'conversation', conversation: await rooms.conversation(caller, key) };
    },
    async markRead(caller, key, cursor) {
      return { $case: 'conversation', conversation: await rooms.markRead(caller, key, cursor) };
    },
    async markAllRead(caller, key) {
      await rooms.markAllRead(caller, key);
      return DONE;
    },
    async listRooms({ user }, _key, page) {
      return { $case: 'rooms', rooms: await rooms.listRooms(user, page) };
    },
    async getHistory(caller, key, page) {
      return { $case: 'history', history: await log.history(caller, key, page) };
    },
    async getMembers(caller, key, page) {
      return { $case: 'members', members: await rooms.members(caller, key, page) };
    },
    async getThread(caller, key, page) {
      return { $case: 'thread', thread: await threads.page(caller, key, page) };
    },
    async listThreads(caller, key, page) {
      return { $case: 'threads', threads: await threads.followed(caller, key, page) };
    },
    async followThread(caller, key, choice) {
      await threads.follow(caller, key, choice);
      return DONE;
    },
    async listPins(caller, key, page) {
      return { $case: 'pins', pins: await log.pins(caller, key, page) };
    },
    async getUsers(caller, _key, users) {
      return { $case: 'users', users: await people.users(caller, users) };
    },
    async getReaders(caller, key, page) {
      return { $case: 'readers', readers: await rooms.readers(caller, key, page) };
    },
    async getSelf(caller, _key, page) {
      return { $case: 'self', self: await self.get(caller, page) };
    },
    async setMute(caller, key, mute) {
      await self.mute(caller, key, mute);
      return DONE;
    },
    async setDraft(caller, key, draft) {
      return { $case: 'self', self: await self.saveDraft(caller, key, draft) };
    },
    async setSettings(caller, _key, changes) {
      return { $case: 'settings', settings: await self.setSettings(caller, changes) };
    },
    async getPresence(caller, _key, users) {
      return { $case: 'presences', presences: await presences.get(caller, users) };
    },
    async setProfile(caller, _key, profile) {
      return { $case: 'users', users: await people.setProfile(caller, profile) };
    },
    async changePassword(caller, _key, passwords) {
      await ownAccount.changePassword(caller, passwords);
      return DONE;
    },
    async listSessions(caller) {
      return { $case: 'sessions', sessions: await ownAccount.sessions(caller) };
    },
    async endSession(caller, _key, session) {
      await ownAccount.endSession(caller, session);
      return DONE;
    },
    async closeAccount(caller, _key, choice) {
      await ownAccount.close(caller, choice);
      return DONE;
    },
    async createBot(caller, _key, bot) {
      return { $case: 'bot', bot: await bots.create(caller, bot) };
    },
    async listBots(caller) {
      return { $case: 'bots', bots: await bots.list(caller) };
    },
    async renewBotToken(caller, _key, bot) {
      return { $case: 'bot', bot: await bots.renewToken(caller, bot) };
    },
    async closeBot(caller, _key, bot) {
      await bots.close(caller, bot);
      return DONE;
    },
    async listAccounts(caller, _key, page) {
      await admin.check(caller);
      return { $case: 'accounts', accounts: await admin.list(page) };
    },
    async changeAccount(caller, _key, change) {
      await admin.check(caller);
      return { $case: 'accounts', accounts: await admin.change(change) };
    },
    async resetPassword(caller, _key, { user }) {
      await admin.check(caller);
      return { $case: 'password', password: await admin.resetPassword(user) };
    },
    async endSessions(caller, _key, { user }) {
      await admin.check(caller);
      await admin.endSessions(user);
      return DONE;
    },
  };
}

/** Looks up the handler of a call and runs it. */
export function handle(handlers: CallHandlers, caller: Caller, key: bigint, call: Call): Promise<Result> {
  // CallHandlers guarantees that a call's fields fit the handler of its case.
  const handler = handlers[call.$case] as Handler<unknown>;
  return handler(caller, key, (call as unknown as Readonly<Record<string, unknown>>)[call.$case]);
}
