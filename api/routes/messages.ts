/** The log of a conversation: reading it, and sending to it. */
/* oxlint-disable oxc/no-async-endpoint-handlers -- fastify awaits handlers; the rule is about Express 4. */
import { randomUUID } from 'node:crypto';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { GochatError } from '../../common/mod.ts';
import { client } from '../../proto/mod.ts';
import { type Caller, caller, messageIdOf } from '../caller.ts';
import { nextPage, placeOf } from '../cursor.ts';
import { toMessage, toPin, toSent, toUser } from '../present.ts';
import { RoomParams } from '../schemas/basic.ts';
import {
  Edit,
  Message,
  MessageParams,
  MessagesAnswer,
  MessagesQuery,
  NewMessage,
  PinsAnswer,
  PinsQuery,
  RangeRetraction,
  ReadersAnswer,
  ReadersQuery,
  RetractBody,
  Sent,
} from '../schemas/messages.ts';
import type { State } from '../state.ts';
import { errors } from './responses.ts';

type Point = client.HistoryPoint['point'];
const { EntryKind } = client;
/** Of an entry to send, whose client_msg_id may be left to this server. */
type EntryFields = Partial<Omit<client.Send, 'clientMsgId'>> & { readonly clientMsgId?: string | undefined };
const tags = ['messages'];

/** Reads the history at a point; undefined: the newest. */
export async function readHistory(
  state: State,
  by: Caller,
  conversation: string,
  point: Point,
  limit: number,
) {
  const getHistory = { at: point && { point }, limit };
  const { history } = await state.call(
    by,
    BigInt(conversation),
    { $case: 'getHistory', getHistory },
    'history',
  );
  return history;
}

export function messageRoutes(state: State): FastifyPluginAsyncZod {
  const pinSummaries = { put: 'Pin a message', delete: 'Unpin a message' } as const;
  return async (app) => {
    app.get(
      '/rooms/:id/messages',
      {
        schema: {
          summary: 'Read a page of the messages of a conversation, by default the newest',
          tags,
          params: RoomParams,
          querystring: MessagesQuery,
          response: { 200: MessagesAnswer, ...errors('unauthenticated', 'forbidden') },
        },
      },
      async (request) => {
        const { query } = request;
        const page = await readHistory(
          state,
          caller(request),
          request.params.id,
          pointOf(query),
          query.limit,
        );
        return {
          messages: page.messages.map(toMessage),
          more: page.more,
          more_after: page.moreAfter,
          as_of: Number(page.asOf),
          anchor_seq: page.anchorSeq === 0n ? null : Number(page.anchorSeq),
          floor_seq: Number(page.floorSeq),
        };
      },
    );

    app.get(
      '/rooms/:id/messages/:seq',
      {
        schema: {
          summary: 'Show one message',
          tags,
          params: MessageParams,
          response: { 200: Message, ...errors('unauthenticated', 'forbidden', 'missing', 'gone') },
        },
      },
      async (request) => {
        const seq = BigInt(request.params.seq);
        const point: Point = { $case: 'aroundSeq', aroundSeq: seq };
        const page = await readHistory(state, caller(request), request.params.id, point, 1);
        const found = page.messages.find((message) => message.seq === seq);
        if (found === undefined)
          throw new GochatError(seq <= page.floorSeq ? 'TARGET_EXPIRED' : 'TARGET_NOT_FOUND');
        return toMessage(found);
      },
    );

    app.get(
      '/rooms/:id/messages/:seq/readers',
      {
        schema: {
          summary: 'List who has read a message, by ascending id',
          description: 'Who hides it is missing; to a caller who hides it, everybody is.',
          tags,
          params: MessageParams,
          querystring: ReadersQuery,
          response: { 200: ReadersAnswer, ...errors('unauthenticated', 'forbidden', 'missing', 'gone') },
        },
      },
      async (request, reply) => {
        const { id, seq } = request.params;
        const { limit } = request.query;
        const after = placeOf(request, request.query.after);
        const getReaders = { seq: BigInt(seq), after, limit };
        const call = { $case: 'getReaders', getReaders } as const;
        const { readers: page } = await state.call(caller(request), BigInt(id), call, 'readers');
        return { readers: page.readers.map(toUser), next: nextPage(request, reply, page.next) };
      },
    );

    app.post(
      '/rooms/:id/messages',
      {
        schema: {
          summary: 'Send a message',
          tags,
          params: RoomParams,

          body: NewMessage,
          response: { 201: Sent, ...errors('unauthenticated', 'forbidden', 'missing', 'gone', 'body') },
        },
      },
      async (request, reply) => {
        const { text, reply_to: replyTo = 0, thread = 0, client_msg_id: clientMsgId } = request.body;
        const send = { text, replyTo: BigInt(replyTo), thread: BigInt(thread) };
        const sent = await post(caller(request), request.params.id, { ...send, clientMsgId });
        return reply.code(201).send(sent);
      },
    );

    app.patch(
      '/rooms/:id/messages/:seq',
      {
        schema: {
          summary: 'Edit a message of the caller',
          tags,
          params: MessageParams,

          body: Edit,
          response: {
            200: Sent,
            ...errors('unauthenticated', 'forbidden', 'missing', 'conflict', 'gone', 'body'),
          },
        },
      },
      async (request) => {
        const { id, seq } = request.params;
        const send = { kind: EntryKind.ENTRY_KIND_EDIT, target: BigInt(seq), text: request.body.text };
        return post(caller(request), id, send);
      },
    );

    app.delete(
      '/rooms/:id/messages/:seq',
      {
        schema: {
          summary: 'Retract a message: its author may, and moderators of a higher role',
          tags,
          params: MessageParams,

          body: RetractBody,
          response: { 200: Sent, ...errors('unauthenticated', 'forbidden', 'missing', 'gone', 'body') },
        },
      },
      async (request) => {
        const { id, seq } = request.params;
        const reason = request.body?.reason ?? '';
        const send = { kind: EntryKind.ENTRY_KIND_RETRACT, target: BigInt(seq), reason };
        return post(caller(request), id, send);
      },
    );

    app.post(
      '/rooms/:id/retractions',
      {
        schema: {
          summary:
            "Retract all messages of one user in a range: one's own, or as a moderator of a higher role",
          tags,
          params: RoomParams,

          body: RangeRetraction,
          response: {
            201: Sent,
            ...errors('unauthenticated', 'forbidden', 'missing', 'conflict', 'gone', 'body'),
          },
        },
      },
      async (request, reply) => {
        const { user, from_seq: from, to_seq: to, reason = '' } = request.body;
        const range = { sender: BigInt(user), fromSeq: BigInt(from), toSeq: BigInt(to) };
        const send = { kind: EntryKind.ENTRY_KIND_RETRACT, range, reason };
        const sent = await post(caller(request), request.params.id, send);
        return reply.code(201).send(sent);
      },
    );

    for (const method of ['put', 'delete'] as const) {
      const kind = method === 'put' ? EntryKind.ENTRY_KIND_PIN : EntryKind.ENTRY_KIND_UNPIN;
      app[method](
        '/rooms/:id/messages/:seq/pin',
        {
          schema: {
            summary: pinSummaries[method],
            description: 'In a room moderators may, in a direct conversation both.',
            tags,
            params: MessageParams,

            response: {
              200: Sent,
              ...errors('unauthenticated', 'forbidden', 'missing', 'conflict', 'gone', 'body'),
            },
          },
        },
        async (request) => {
          const { id, seq } = request.params;
          const send = { kind, target: BigInt(seq) };
          return post(caller(request), id, send);
        },
      );
    }

    app.get(
      '/rooms/:id/pins',
      {
        schema: {
          summary: 'List the pinned messages of a conversation',
          tags,
          params: RoomParams,
          querystring: PinsQuery,
          response: { 200: PinsAnswer, ...errors('unauthenticated', 'forbidden') },
        },
      },
      async (request, reply) => {
        const after = placeOf(request, request.query.after);
        const { pins: page } = await state.call(
          caller(request),
          BigInt(request.params.id),
          { $case: 'listPins', listPins: { after } },
          'pins',
        );
        return {
          pins: page.pins.map(toPin),
          pins_version: Number(page.pinsVersion),
          next: nextPage(request, reply, page.next),
        };
      },
    );
  };

  /** Sends an entry. Without a client_msg_id it gets one, so that the retries of this call are one entry. */
  async function post(
    by: Caller,
    conversation: string,
    { clientMsgId = messageIdOf(by) ?? randomUUID(), ...fields }: EntryFields,
  ) {
    const send = client.Send.create({ ...fields, clientMsgId });
    return toSent(await state.post(by, BigInt(conversation), send));
  }
}

export function pointOf({
  before,
  after,
  around,
  first_unread,
  date,
}: Partial<Omit<MessagesQuery, 'limit'>>): Point {
  if (before !== undefined) return { $case: 'beforeSeq', beforeSeq: BigInt(before) };
  if (after !== undefined) return { $case: 'afterSeq', afterSeq: BigInt(after) };
  if (around !== undefined) return { $case: 'aroundSeq', aroundSeq: BigInt(around) };
  if (first_unread !== undefined) return { $case: 'firstUnread', firstUnread: true };
  // Nothing is older than 1970.
  if (date !== undefined) return { $case: 'dateMs', dateMs: BigInt(Math.max(0, Date.parse(date))) };
  return undefined;
}
