/** The settings of the caller, with an ETag. */
/* oxlint-disable oxc/no-async-endpoint-handlers -- fastify awaits handlers; the rule is about Express 4. */
import type { FastifyReply } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { GochatError } from '../../common/mod.ts';
import type { client } from '../../proto/mod.ts';
import { caller } from '../caller.ts';
import { toSettings } from '../present.ts';
import { IfMatchHeaders, Settings, SettingsChanges } from '../schemas/self.ts';
import type { State } from '../state.ts';
import { errors } from './responses.ts';

const PATH = '/users/me/settings';
const tags = ['users'];
const ETAG = /^"(\d{1,15})"$/;

export function settingsRoutes(state: State): FastifyPluginAsyncZod {
  const answer = (reply: FastifyReply, settings: client.Settings) => {
    reply.header('etag', `"${settings.version}"`);
    return toSettings(settings);
  };
  return async (app) => {
    app.get(
      PATH,
      {
        schema: {
          summary: 'Show the settings of the caller',
          tags,
          response: { 200: Settings, ...errors('unauthenticated') },
        },
      },
      async (request, reply) => {
        const call = { $case: 'getSelf', getSelf: { after: '', limit: 1 } } as const;
        const { self } = await state.call(caller(request), 0n, call, 'self');
        if (self.settings === undefined)
          throw new GochatError('INTERNAL', { cause: new Error('state has answered without settings') });
        return answer(reply, self.settings);
      },
    );

    app.patch(
      PATH,
      {
        schema: {
          summary: 'Change some settings of the caller, on all devices',
          description: 'With If-Match only if nobody has changed them since.',
          tags,
          headers: IfMatchHeaders,
          body: SettingsChanges,
          response: { 200: Settings, ...errors('unauthenticated', 'conflict', 'changed', 'body') },
        },
      },
      async (request, reply) => {
        const settings = Object.entries(request.body).map(([name, value]) => ({
          name,
          value: JSON.stringify(value),
        }));
        const ifVersion = versionOf(request.headers['if-match']);
        const call = { $case: 'setSettings', setSettings: { settings, ifVersion } } as const;
        const { settings: all } = await state.call(caller(request), 0n, call, 'settings');
        return answer(reply, all);
      },
    );
  };
}

/** Returns the version of an If-Match; 0: any. @throws GochatError SETTINGS_CHANGED for an ETag of something else */
function versionOf(ifMatch: string | undefined): bigint {
  if (ifMatch === undefined || ifMatch === '*') return 0n;
  const version = ETAG.exec(ifMatch)?.[1];
  if (version === undefined || version === '0') throw new GochatError('SETTINGS_CHANGED');
  return BigInt(version);
}
