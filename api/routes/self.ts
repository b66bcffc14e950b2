/** What the devices of the caller share: read cursors, mutes, drafts, settings. */
/* oxlint-disable oxc/no-async-endpoint-handlers -- fastify awaits handlers; the rule is about Express 4. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { GochatError } from '../../common/mod.ts';
import { type Caller, caller } from '../caller.ts';
import { nextPage, placeOf } from '../cursor.ts';
import { toDraft, toSelf } from '../present.ts';
import { Done, RoomParams } from '../schemas/basic.ts';
import { Draft, DraftBody, MuteBody, SelfAnswer, SelfQuery } from '../schemas/self.ts';
import type { State } from '../state.ts';
import { errors } from './responses.ts';

const DONE = { status: 'ok' } as const;
const tags = ['users'];

export function selfRoutes(state: State): FastifyPluginAsyncZod {
  const mute = async (by: Caller, room: string, untilMs: number): Promise<typeof DONE> => {
    const setMute = { untilMs: BigInt(untilMs) };
    await state.call(by, BigInt(room), { $case: 'setMute', setMute }, 'done');
    return DONE;
  };
  const saveDraft = async (by: Caller, room: string, text: string) => {
    const call = { $case: 'setDraft', setDraft: { text } } as const;
    const { self } = await state.call(by, BigInt(room), call, 'self');
    const [draft] = self.drafts;
    if (draft === undefined)
      throw new GochatError('INTERNAL', { cause: new Error('state has answered setDraft without a draft') });
    return toDraft(draft);
  };
  return async (app) => {
    app.get(
      '/users/me/state',
      {
        schema: {
          summary: 'Show what the devices of the caller share: read cursors, mutes, drafts, settings',
          description: 'Mutes, drafts and settings are on the first page.',
          tags,
          querystring: SelfQuery,
          response: { 200: SelfAnswer, ...errors('unauthenticated') },
        },
      },
      async (request, reply) => {
        const { limit } = request.query;
        const after = placeOf(request, request.query.after);
        const { self } = await state.call(
          caller(request),
          0n,
          { $case: 'getSelf', getSelf: { after, limit } },
          'self',
        );
        return { ...toSelf(self), next: nextPage(request, reply, self.next) };
      },
    );

    app.put(
      '/rooms/:id/mute',
      {
        schema: {
          summary: 'Mute a conversation for the caller',
          tags,
          params: RoomParams,
          body: MuteBody,
          response: { 200: Done, ...errors('unauthenticated', 'forbidden', 'body') },
        },
      },
      async (request) =>
        mute(caller(request), request.params.id, request.body?.until_ms ?? Number.MAX_SAFE_INTEGER),
    );

    app.delete(
      '/rooms/:id/mute',
      {
        schema: {
          summary: 'End the mute of a conversation',
          tags,
          params: RoomParams,
          response: { 200: Done, ...errors('unauthenticated', 'forbidden', 'body') },
        },
      },
      async (request) => mute(caller(request), request.params.id, 0),
    );

    app.put(
      '/rooms/:id/draft',
      {
        schema: {
          summary: 'Keep a text that the caller has begun to write, for all devices; the last one counts',
          tags,
          params: RoomParams,
          body: DraftBody,
          response: { 200: Draft, ...errors('unauthenticated', 'forbidden', 'conflict', 'body') },
        },
      },
      async (request) => saveDraft(caller(request), request.params.id, request.body.text),
    );

    app.delete(
      '/rooms/:id/draft',
      {
        schema: {
          summary: 'Remove the draft of a conversation',
          tags,
          params: RoomParams,
          response: { 200: Done, ...errors('unauthenticated', 'forbidden', 'body') },
        },
      },
      async (request) => {
        await saveDraft(caller(request), request.params.id, '');
        return DONE;
      },
    );
  };
}
