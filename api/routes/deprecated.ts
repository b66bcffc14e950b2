/** The paths from before /api/v1: aliases of what is there, two of them with answers of their own. */
/* oxlint-disable oxc/no-async-endpoint-handlers -- fastify awaits handlers; the rule is about Express 4. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { caller } from '../caller.ts';
import { nextPage, placeOf } from '../cursor.ts';
import { toMessage, toRoom } from '../present.ts';
import { RoomParams } from '../schemas/basic.ts';
import { OldRoomsAnswer, OldRoomsQuery } from '../schemas/conversations.ts';
import { OldMessagesAnswer, OldMessagesQuery } from '../schemas/messages.ts';
import type { State } from '../state.ts';
import { readHistory } from './messages.ts';
import { errors } from './responses.ts';
import { listRooms, roomRoutes } from './rooms.ts';

export function deprecatedRoutes(state: State): FastifyPluginAsyncZod {
  return async (app) => {
    app.addHook('onRoute', (route) => {
      route.schema = { ...route.schema, deprecated: true };
    });
    await app.register(roomRoutes(state));

    app.get(
      '/rooms',
      {
        schema: {
          summary: 'List the rooms',
          tags: ['rooms'],
          querystring: OldRoomsQuery,
          response: { 200: OldRoomsAnswer, ...errors('unauthenticated') },
        },
      },
      async (request, reply) => {
        const after = placeOf(request, request.query.after);
        const page = await listRooms(state, caller(request), after, request.query.limit);
        return { rooms: page.rooms.map(toRoom), next_after: nextPage(request, reply, page.next) };
      },
    );

    app.get(
      '/rooms/:id/messages',
      {
        schema: {
          summary: 'Page backwards through the messages of a conversation',
          tags: ['messages'],
          params: RoomParams,
          querystring: OldMessagesQuery,
          response: { 200: OldMessagesAnswer, ...errors('unauthenticated', 'forbidden') },
        },
      },
      async (request) => {
        const { before = 0, limit } = request.query;
        const point = { $case: 'beforeSeq', beforeSeq: BigInt(before) } as const;
        const page = await readHistory(state, caller(request), request.params.id, point, limit);
        const [oldest] = page.messages;
        return {
          messages: page.messages.map(toMessage),
          next_before: page.more && oldest ? Number(oldest.seq) : null,
        };
      },
    );
  };
}
