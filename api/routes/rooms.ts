/** Conversations, rooms and their members. */
/* oxlint-disable oxc/no-async-endpoint-handlers -- fastify awaits handlers; the rule is about Express 4. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { type Caller, caller } from '../caller.ts';
import { nextPage, placeOf } from '../cursor.ts';
import { tag } from '../preconditions.ts';
import { toConversation, toMember, toRoom, toWireRole } from '../present.ts';
import { Done, NotModified, RoomParams } from '../schemas/basic.ts';
import {
  Conversation,
  ConversationsAnswer,
  ConversationsQuery,
  MemberParams,
  MembersAnswer,
  MembersQuery,
  NewDirect,
  NewRoom,
  ReadBody,
  RoleBody,
  RoomsAnswer,
  RoomsQuery,
} from '../schemas/conversations.ts';
import type { Call, State } from '../state.ts';
import { errors } from './responses.ts';

const DONE = { status: 'ok' } as const;
const tags = ['rooms'];

/** Lists in pages. */
export function listRoutes(state: State): FastifyPluginAsyncZod {
  return async (app) => {
    app.get(
      '/conversations',
      {
        schema: {
          summary: "List the caller's conversations, direct ones and rooms",
          tags,
          querystring: ConversationsQuery,
          response: { 200: ConversationsAnswer, ...errors('unauthenticated') },
        },
      },
      async (request, reply) => {
        const { limit } = request.query;
        const after = placeOf(request, request.query.after);
        const { conversations: page } = await state.call(
          caller(request),
          0n,
          { $case: 'listConversations', listConversations: { after, limit } },
          'conversations',
        );
        return {
          conversations: page.conversations.map(toConversation),
          next: nextPage(request, reply, page.next),
        };
      },
    );

    app.post(
      '/conversations',
      {
        schema: {
          summary: 'Open the direct conversation with a user; it is made if there is none',
          tags,
          body: NewDirect,
          response: { 200: Conversation, ...errors('unauthenticated', 'missing', 'body') },
        },
      },
      async (request) => {
        const openDirect = { userName: request.body.user };
        const call = { $case: 'openDirect', openDirect } as const;
        const { conversation } = await state.call(caller(request), 0n, call, 'conversation');
        return toConversation(conversation);
      },
    );

    app.put(
      '/rooms/:id/read',
      {
        schema: {
          summary: 'Set how far the caller has read, or have what follows unread again',
          description:
            'Of two cursors the one with the greater read_epoch counts, then the one with the greater read_seq. To have a message ' +
            'and what comes after it unread again: the seq before it, and one epoch more.',
          tags,
          params: RoomParams,
          body: ReadBody,
          response: { 200: Conversation, ...errors('unauthenticated', 'forbidden', 'conflict', 'body') },
        },
      },
      async (request) => {
        const { seq, epoch } = request.body;
        const markRead = { readSeq: BigInt(seq), readEpoch: BigInt(epoch), thread: 0n };
        const call = { $case: 'markRead', markRead } as const;
        const { conversation } = await state.call(
          caller(request),
          BigInt(request.params.id),
          call,
          'conversation',
        );
        return toConversation(conversation);
      },
    );

    app.get(
      '/rooms',
      {
        schema: {
          summary: 'List the rooms',
          tags,
          querystring: RoomsQuery,
          response: { 200: RoomsAnswer, ...errors('unauthenticated') },
        },
      },
      async (request, reply) => {
        const after = placeOf(request, request.query.after);
        const page = await listRooms(state, caller(request), after, request.query.limit);
        return { rooms: page.rooms.map(toRoom), next: nextPage(request, reply, page.next) };
      },
    );

    app.get(
      '/rooms/:id/members',
      {
        schema: {
          summary: 'List the members of a conversation of the caller',
          tags,
          params: RoomParams,
          querystring: MembersQuery,
          response: { 200: MembersAnswer, ...errors('unauthenticated', 'forbidden') },
        },
      },
      async (request, reply) => {
        const { limit } = request.query;
        const after = placeOf(request, request.query.after);
        const { members: page } = await state.call(
          caller(request),
          BigInt(request.params.id),
          { $case: 'getMembers', getMembers: { after, limit } },
          'members',
        );
        return {
          members: page.members.map(toMember),
          count: page.count,
          next: nextPage(request, reply, page.next),
        };
      },
    );
  };
}

/** Lists the rooms of one page. */
export async function listRooms(state: State, by: Caller, after: string, limit: number) {
  const { rooms } = await state.call(by, 0n, { $case: 'listRooms', listRooms: { after, limit } }, 'rooms');
  return rooms;
}

/** One room, and who is in it. */
export function roomRoutes(state: State): FastifyPluginAsyncZod {
  const show = async (by: Caller, key: bigint, call: Call) => {
    const { conversation } = await state.call(by, key, call, 'conversation');
    return toConversation(conversation);
  };
  const change = async (by: Caller, room: string, call: Call): Promise<typeof DONE> => {
    await state.call(by, BigInt(room), call, 'done');
    return DONE;
  };
  return async (app) => {
    app.post(
      '/rooms',
      {
        schema: {
          summary: 'Create a room and join it',
          tags,
          body: NewRoom,
          response: { 201: Conversation, ...errors('unauthenticated', 'conflict', 'body') },
        },
      },
      async (request, reply) => {
        const { name, history } = request.body;
        const createRoom = { name, hideHistory: history === 'since-joined' };
        const made = await show(caller(request), 0n, { $case: 'createRoom', createRoom });
        return reply.code(201).send(made);
      },
    );

    app.get(
      '/rooms/:id',
      {
        schema: {
          summary: 'Show a conversation of the caller: how far it is, and what is unread',
          tags,
          params: RoomParams,
          response: { 200: Conversation, 304: NotModified, ...errors('unauthenticated', 'forbidden') },
        },
      },
      async (request, reply) => {
        const call = { $case: 'getConversation', getConversation: {} } as const;
        const room = await show(caller(request), BigInt(request.params.id), call);
        return tag(request, reply, room) ? reply.code(304).send() : room;
      },
    );

    app.post(
      '/rooms/:id/join',
      {
        schema: {
          summary: 'Join a room; joining again changes nothing',
          tags,
          params: RoomParams,
          response: { 200: Conversation, ...errors('unauthenticated', 'missing', 'body') },
        },
      },
      async (request) => {
        const joinRoom = { room: request.params.id };
        return show(caller(request), 0n, { $case: 'joinRoom', joinRoom });
      },
    );

    app.post(
      '/rooms/:id/leave',
      {
        schema: {
          summary: 'Leave a room; leaving again changes nothing',
          description: 'What was said before stays readable, what is said later is not.',
          tags,
          params: RoomParams,
          response: { 200: Done, ...errors('unauthenticated', 'forbidden', 'missing', 'body') },
        },
      },
      async (request) => change(caller(request), request.params.id, { $case: 'leaveRoom', leaveRoom: {} }),
    );

    app.put(
      '/rooms/:id/members/:user',
      {
        schema: {
          summary: 'Give a member a role; owners of the room may, and everybody may step down',
          tags,
          params: MemberParams,
          body: RoleBody,
          response: {
            200: Done,
            ...errors('unauthenticated', 'forbidden', 'missing', 'conflict', 'body'),
          },
        },
      },
      async (request) => {
        const { id, user } = request.params;
        const setRole = { user, role: toWireRole(request.body.role) };
        return change(caller(request), id, { $case: 'setRole', setRole });
      },
    );

    app.delete(
      '/rooms/:id/members/:user',
      {
        schema: {
          summary: 'Remove a member of a lower role; owners and moderators of the room may',
          tags,
          params: MemberParams,
          response: { 200: Done, ...errors('unauthenticated', 'forbidden', 'missing', 'body') },
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
          tags,
          params: RoomParams,
          response: { 200: Done, ...errors('unauthenticated', 'forbidden', 'missing', 'body') },
        },
      },
      async (request) => change(caller(request), request.params.id, { $case: 'deleteRoom', deleteRoom: {} }),
    );
  };
}
