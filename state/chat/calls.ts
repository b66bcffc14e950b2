/** The calls of REQUEST: the handler of each. docs/architecture.md, "How to add a call". */
import type { client } from '../../proto/mod.ts';
import type { StateMetrics } from '../metrics.ts';
import type { Caller } from '../session/location-map.ts';
import type { Membership } from './membership.ts';
import type { Rooms } from './rooms.ts';

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
  readonly rooms: Rooms;
  readonly membership: Membership;
  readonly metrics: Pick<StateMetrics, 'syncs'>;
}

const DONE: Result = { $case: 'done', done: {} };

export function callHandlers({ rooms, membership, metrics }: CallHandlersOptions): CallHandlers {
  return {
    async sync(caller, _key, request) {
      metrics.syncs.add(1);
      return { $case: 'sync', sync: await rooms.sync(caller, request) };
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
    async listConversations(caller) {
      return { $case: 'conversations', conversations: await rooms.conversations(caller) };
    },
    async getConversation(caller, key) {
      return { $case: 'conversation', conversation: await rooms.conversation(caller, key) };
    },
    async listRooms({ user }, _key, { after, limit }) {
      return { $case: 'rooms', rooms: await rooms.listRooms(user, after, limit) };
    },
    async getHistory({ user }, key, { beforeSeq, limit }) {
      return { $case: 'history', history: await rooms.history(user, key, beforeSeq, limit) };
    },
    async getMembers(caller, key) {
      return { $case: 'members', members: await rooms.members(caller, key) };
    },
  };
}

/** Looks up the handler of a call and runs it. */
export function handle(handlers: CallHandlers, caller: Caller, key: bigint, call: Call): Promise<Result> {
  // CallHandlers guarantees that a call's fields fit the handler of its case.
  const handler = handlers[call.$case] as Handler<unknown>;
  return handler(caller, key, (call as unknown as Readonly<Record<string, unknown>>)[call.$case]);
}
