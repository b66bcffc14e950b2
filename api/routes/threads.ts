/** Threads: replies, who follows them, what is unread. */
/* oxlint-disable oxc/no-async-endpoint-handlers -- fastify awaits handlers; the rule is about Express 4. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { type Caller, caller } from '../caller.ts';
import { nextPage, placeOf } from '../cursor.ts';
import { toConversation, toMessage, toThread } from '../present.ts';
import { Done, RoomParams } from '../schemas/basic.ts';
import { Conversation, ReadBody } from '../schemas/conversations.ts';
import { ThreadAnswer, ThreadParams, ThreadQuery, ThreadsAnswer, ThreadsQuery } from '../schemas/messages.ts';
import type { State } from '../state.ts';
import { pointOf } from './messages.ts';
import { errors } from './responses.ts';

const tags = ['threads'];

export function threadRoutes(state: State): FastifyPluginAsyncZod {
  async function markAllRead(by: Caller, key: bigint) {
    await state.call(by, key, { $case: 'markAllRead', markAllRead: {} }, 'done');
    return { status: 'ok' as const };
  }
  return async (app) => {
    app.get(
      '/threads',
      {
        schema: {
          summary: 'List the threads that the caller follows',
          tags,
          querystring: ThreadsQuery,
          response: { 200: ThreadsAnswer, ...errors('unauthenticated') },
        },
      },
      async (request, reply) => {
        const { room = '0', limit } = request.query;
        const after = placeOf(request, request.query.after);
        const call = { $case: 'listThreads', listThreads: { after, limit } } as const;
        const { threads: page } = await state.call(caller(request), BigInt(room), call, 'threads');
        return {
          threads: page.threads.map(({ last, ...thread }) => ({
            ...toThread(thread),
            last: last ? toMessage(last) : null,
          })),
          next: nextPage(request, reply, page.next),
        };
      },
    );

    app.get(
      '/rooms/:id/threads/:root',
      {
        schema: {
          summary: 'Read a page of the replies of a thread, by default the newest',
          tags,
          params: ThreadParams,
          querystring: ThreadQuery,
          response: { 200: ThreadAnswer, ...errors('unauthenticated', 'forbidden', 'missing') },
        },
      },
      async (request) => {
        const { id, root } = request.params;
        const point = pointOf(request.query);
        const getThread = { root: BigInt(root), limit: request.query.limit, at: point && { point } };
        const call = { $case: 'getThread', getThread } as const;
        const { thread: page } = await state.call(caller(request), BigInt(id), call, 'thread');
        const {
          thread = { conversation: BigInt(id), seq: BigInt(root), root: undefined, summary: undefined },
        } = page;
        return {
          ...toThread(thread),
          messages: page.messages.map(toMessage),
          more: page.more,
          more_after: page.moreAfter,
          as_of: Number(page.asOf),
          anchor_seq: page.anchorSeq === 0n ? null : Number(page.anchorSeq),
        };
      },
    );

    for (const method of ['put', 'delete'] as const)
      app[method](
        '/rooms/:id/threads/:root/follow',
        {
          schema: {
            summary: method === 'put' ? 'Follow a thread' : 'Follow a thread no longer',
            description:
              'Who writes in a thread, or wrote its root, follows it by that, unless they have stopped following it.',
            tags,
            params: ThreadParams,
            response: { 200: Done, ...errors('unauthenticated', 'forbidden', 'missing', 'body') },
          },
        },
        async (request) => {
          const { id, root } = request.params;
          const followThread = { root: BigInt(root), unfollow: method === 'delete' };
          const call = { $case: 'followThread', followThread } as const;
          await state.call(caller(request), BigInt(id), call, 'done');
          return { status: 'ok' as const };
        },
      );

    app.post(
      '/rooms/:id/read-all',
      {
        schema: {
          summary: 'Have read everything in a conversation, the threads that the caller follows too',
          tags,
          params: RoomParams,
          response: { 200: Done, ...errors('unauthenticated', 'body') },
        },
      },
      async (request) => markAllRead(caller(request), BigInt(request.params.id)),
    );

    app.post(
      '/conversations/read-all',
      {
        schema: {
          summary: 'Have read everything in all conversations, the threads that the caller follows too',
          tags,
          response: { 200: Done, ...errors('unauthenticated', 'body') },
        },
      },
      async (request) => markAllRead(caller(request), 0n),
    );

    app.put(
      '/rooms/:id/threads/:root/read',
      {
        schema: {
          summary: 'Set how far the caller has read a thread that they follow',
          description: 'As PUT /rooms/{id}/read, with the read_epoch of the thread.',
          tags,
          params: ThreadParams,
          body: ReadBody,
          response: {
            200: Conversation,
            ...errors('unauthenticated', 'forbidden', 'missing', 'conflict', 'body'),
          },
        },
      },
      async (request) => {
        const { id, root } = request.params;
        const { seq, epoch } = request.body;
        const markRead = { readSeq: BigInt(seq), readEpoch: BigInt(epoch), thread: BigInt(root) };
        const call = { $case: 'markRead', markRead } as const;
        const { conversation } = await state.call(caller(request), BigInt(id), call, 'conversation');
        return toConversation(conversation);
      },
    );
  };
}
