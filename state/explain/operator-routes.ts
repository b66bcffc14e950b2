/** The operator routes of a state server on the admin port: `gochat ctl kick`, `session`, `trace` and `evidence`. */
import {
  type ConversationId,
  GochatError,
  json,
  type OperatorRoutes,
  type SessionId,
  type UserId,
} from '../../common/mod.ts';
import { accountRoutes } from './account-routes.ts';
import { EvictionScope } from '../hot/hot-state.ts';
import { messagePath } from './message-path.ts';
import type { StateNode } from '../node.ts';
import type { Store } from '../store/store.ts';

const MAX_REASON = 200;
const DECIMAL = /^[1-9]\d{0,18}$/;

/** @param name name of the node, for people */
export function operatorRoutes(
  name: string,
  node: StateNode,
  store: Pick<Store, 'findAccount' | 'evidenceOf'>,
): OperatorRoutes {
  /** Returns a user id by name, or parses a decimal id. */
  const userOf = async (text: string): Promise<UserId> => {
    if (DECIMAL.test(text)) return BigInt(text) as UserId;
    const account = await store.findAccount(text.toLowerCase());
    if (account === undefined) throw new GochatError('USER_NOT_FOUND', { details: { name: text } });
    return account.id;
  };
  return {
    ...accountRoutes(node.admin),
    'POST /kick': async (_request, response, url) => {
      const { searchParams: given } = url;
      const user = await userOf(required(given, 'user'));
      const revokes = given.get('revoke') === 'true';
      const reason = (given.get('reason') ?? 'no reason given').slice(0, MAX_REASON);
      const order = { user, code: 'KICKED', reason } as const;
      const connections = node.locations.connectionsOf(user).length;
      if (revokes) await node.logins.endAll(user, 'KICKED', reason);
      else {
        const device = given.get('device') ?? '';
        await node.evictions.evict({ ...order, scope: EvictionScope.DEVICE, token: 0n, device });
      }
      const ended = connections - node.locations.connectionsOf(user).length;
      json(response, 200, { user: user.toString(), connections: ended, revoked: revokes });
    },
    'GET /session': async (_request, response, url) => {
      const text = required(url.searchParams, 'id');
      const id = await userOf(text);
      const { locations, sessionLog } = node;
      // An id belongs to a user or a session, never both.
      const live = [
        ...locations.connectionsOf(id),
        ...locations.connectionsOfSession(BigInt(id) as SessionId),
      ];
      json(response, 200, {
        live: live.map(({ device, session, epoch, stream }) => ({
          device,
          session: session.toString(),
          epoch: epoch.toString(),
          gateway: stream.peerName,
        })),
        events: sessionLog.find(id).map(({ atMs, user, session, ...event }) => ({
          at: new Date(atMs).toISOString(),
          user: user.toString(),
          session: session.toString(),
          ...event,
        })),
      });
    },
    'GET /trace': async (_request, response, url) => {
      const text = required(url.searchParams, 'id');
      if (!DECIMAL.test(text))
        throw new GochatError('ARGUMENT_INVALID', { details: { what: 'The message id' } });
      const { hops, silent } = await messagePath(BigInt(text), name, node.traces, node.links);
      json(response, 200, {
        message: text,
        hops: hops.map(({ atMs, ...hop }) => ({ at: new Date(atMs).toISOString(), ...hop })),
        silent,
      });
    },
    'GET /evidence': async (_request, response, url) => {
      const text = required(url.searchParams, 'conversation');
      if (!DECIMAL.test(text))
        throw new GochatError('ARGUMENT_INVALID', { details: { what: 'The conversation id' } });
      const found = await store.evidenceOf(BigInt(text) as ConversationId, Date.now());
      json(response, 200, {
        conversation: text,
        evidence: found.map(({ seq, sender, atMs, texts, retraction, expiresAtMs }) => ({
          seq,
          sender: sender.toString(),
          at: new Date(atMs).toISOString(),
          texts,
          retracted: {
            seq: retraction.seq,
            by: retraction.by.toString(),
            at: new Date(retraction.atMs).toISOString(),
            reason: retraction.reason,
          },
          expires: new Date(expiresAtMs).toISOString(),
        })),
      });
    },
  };
}

function required(given: URLSearchParams, name: string): string {
  const value = given.get(name);
  if (value === null || value === '')
    throw new GochatError('ARGUMENT_INVALID', { details: { what: `The parameter ${name}` } });
  return value;
}
