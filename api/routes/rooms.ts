/** Rooms and their messages. */
/* oxlint-disable oxc/no-async-endpoint-handlers -- fastify awaits handlers; the rule is about Express 4. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { client } from '../../proto/mod.ts';
import {
  Conversation,
  Done,
  MemberParams,
  MessagesAnswer,
  MessagesQuery,
  NewRoom,
  RoleBody,
  RoomParams,
  RoomsAnswer,
  RoomsQuery,
} from '../schemas.ts';
import { type Caller, caller } from '../caller.ts';
import type { Call, State } from '../state.ts';
import { errors } from './responses.ts';

const DONE = { status: 'ok' } as const;
const WIRE_ROLES = {
  member: client.Role.ROLE_MEMBER,
  moderator: client.Role.ROLE_MODERATOR,
  owner: client.Role.ROLE_OWNER,
} as const;

export function roomRoutes(state: State): FastifyPluginAsyncZod {
  const change = async (by: Caller, room: string, call: Call): Promise<typeof DONE> => {
    await state.call(by, BigInt(room), call, 'done');
    return DONE;
  };
  return async (app) => {
    app.get(
      '/rooms',
      {
        schema: {
          summary: 'List the rooms',
          tags: ['rooms'],
          querystring: RoomsQuery,
          response: { 200: RoomsAnswer, ...errors('bad', 'unauthenticated', 'limited') },
        },
      },
      async (request) => {
        const { after, limit } = request.query;
        const listRooms = { after: BigInt(after ?? 0), limit };
        const { rooms: page } = await state.call(
          caller(request),
          0n,
          { $case: 'listRooms', listRooms },
          'rooms',
        );
        const last = page.rooms.at(-1);
        return {
          rooms: page.rooms.map((room) => ({
            id: String(room.id),
            name: room.name,
            members: room.members,
            joined: room.joined,
            last_seq: Number(room.lastSeq),
            unread: Number(room.unread),
          })),
          next_after: page.more && last ? String(last.id) : null,
        };
      },
    );

    app.post(
      '/rooms',
      {
        schema: {
          summary: 'Create a room and join it',
          tags: ['rooms'],
          body: NewRoom,
          response: { 201: Conversation, ...errors('bad', 'unauthenticated', 'conflict', 'limited') },
        },
      },
      async (request, reply) => {
        const { name, history } = request.body;
        const createRoom = { name, hideHistory: history === 'since-joined' };
        const { conversation } = await state.call(
          caller(request),
          0n,
          { $case: 'createRoom', createRoom },
          'conversation',
        );
        return reply.code(201).send(toConversation(conversation));
      },
    );

    app.get(
      '/rooms/:id',
      {
        schema: {
          summary: 'Show a conversation of the caller: how far it is, and what is unread',
          tags: ['rooms'],
          params: RoomParams,
          response: { 200: Conversation, ...errors('bad', 'unauthenticated', 'forbidden', 'limited') },
        },
      },
      async (request) => {
        const { conversation } = await state.call(
          caller(request),
          BigInt(request.params.id),
          { $case: 'getConversation', getConversation: {} },
          'conversation',
        );
        return toConversation(conversation);
      },
    );

    app.post(
      '/rooms/:id/join',
      {
        schema: {
          summary: 'Join a room; joining again changes nothing',
          tags: ['rooms'],
          params: RoomParams,
          response: { 200: Conversation, ...errors('bad', 'unauthenticated', 'missing', 'limited') },
        },
      },
      async (request) => {
        const joinRoom = { room: request.params.id };
        const { conversation } = await state.call(
          caller(request),
          0n,
          { $case: 'joinRoom', joinRoom },
          'conversation',
        );
        return toConversation(conversation);
      },
    );

    app.post(
      '/rooms/:id/leave',
      {
        schema: {
          summary: 'Leave a room; leaving again changes nothing',
          description: 'What was said before stays readable, what is said later is not.',
          tags: ['rooms'],
          params: RoomParams,
          response: { 200: Done, ...errors('bad', 'unauthenticated', 'forbidden', 'missing', 'limited') },
        },
      },
      async (request) => {
        return change(caller(request), request.params.id, { $case: 'leaveRoom', leaveRoom: {} });
      },
    );

    app.put(
      '/rooms/:id/members/:user',
      {
        schema: {
          summary: 'Give a member a role; owners of the room may, and everybody may step down',
          tags: ['rooms'],
          params: MemberParams,
          body: RoleBody,
          response: {
            200: Done,
            ...errors('bad', 'unauthenticated', 'forbidden', 'missing', 'conflict', 'limited'),
          },
        },
      },
      async (request) => {
        const { id, user } = request.params;
        const setRole = { user, role: WIRE_ROLES[request.body.role] };
        return change(caller(request), id, { $case: 'setRole', setRole });
      },
    );

    app.delete(
      '/rooms/:id/members/:user',
      {
        schema: {
          summary: 'Remove a member of a lower role; owners and moderators of the room may',
          tags: ['rooms'],
          params: MemberParams,
          response: { 200: Done, ...errors('bad', 'unauthenticated', 'forbidden', 'missing', 'limited') },
        },
      },
      async (request) => {
        const { id, user } = request.params;
        return change(caller(request), id, { $case: 'removeMember', removeMember: { user } });
      },
    );

    app.delete(
      '/rooms/:id',
      {
        schema: {
          summary: 'Delete a room and all that was said in it; only its owners may',
          tags: ['rooms'],
          params: RoomParams,
          response: { 200: Done, ...errors('bad', 'unauthenticated', 'forbidden', 'missing', 'limited') },
        },
      },
      async (request) => {
        return change(caller(request), request.params.id, { $case: 'deleteRoom', deleteRoom: {} });
      },
    );

    app.get(
      '/rooms/:id/messages',
      {
        schema: {
          summary: 'Page backwards through the messages of a conversation',
          tags: ['rooms'],
          params: RoomParams,
          querystring: MessagesQuery,
          response: {
            200: MessagesAnswer,
            ...errors('bad', 'unauthenticated', 'forbidden', 'missing', 'limited'),
          },
        },
      },
      async (request) => {
        const { before, limit } = request.query;
        const getHistory = { beforeSeq: BigInt(before ?? 0), limit };
        const { history: page } = await state.call(
          caller(request),
          BigInt(request.params.id),
          { $case: 'getHistory', getHistory },
          'history',
        );
        const [oldest] = page.messages;
        return {
          messages: page.messages.map(toMessage),
          next_before: page.more && oldest ? Number(oldest.seq) : null,
        };
      },
    );
  };
}

function toConversation(room: client.Conversation) {
  return {
    id: String(room.id),
    name: room.name,
    last_seq: Number(room.lastSeq),
    unread: Number(room.unread),
    role: roleOf(room),
  };
}

/** A state node of the release before tells the owner alone. */
function roleOf({ role, owner }: client.Conversation): keyof typeof WIRE_ROLES {
  if (role === client.Role.ROLE_MODERATOR) return 'moderator';
  return owner ? 'owner' : 'member';
}

function toMessage(message: client.Message) {
  const atMs = Number(message.atMs);
  return {
    seq: Number(message.seq),
    id: String(message.id),
    sender: String(message.sender),
    from: message.from,
    client_msg_id: message.clientMsgId,
    text: message.text,
    at: new Date(atMs).toISOString(),
    at_ms: atMs,
  };
}
