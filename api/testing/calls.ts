/** One valid request of each route that a token is needed for. */
import { ROOM } from './test-state.ts';

export interface TestCall {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly body?: object;
  readonly status: number;
}

const ROOM_CALLS: readonly TestCall[] = [
  { method: 'POST', path: '/rooms', body: { name: 'lobby' }, status: 201 },
  { method: 'GET', path: `/rooms/${ROOM}`, status: 200 },
  { method: 'DELETE', path: `/rooms/${ROOM}`, status: 200 },
  { method: 'POST', path: `/rooms/${ROOM}/join`, status: 200 },
  { method: 'POST', path: `/rooms/${ROOM}/leave`, status: 200 },
  { method: 'PUT', path: `/rooms/${ROOM}/members/bob`, body: { role: 'owner' }, status: 200 },
  { method: 'DELETE', path: `/rooms/${ROOM}/members/bob`, status: 200 },
  { method: 'GET', path: `/rooms/${ROOM}/messages`, status: 200 },
];

/** The paths from before /api/v1. */
export const OLD_CALLS: readonly TestCall[] = [{ method: 'GET', path: '/rooms', status: 200 }, ...ROOM_CALLS];

export const CALLS: readonly TestCall[] = [
  { method: 'GET', path: '/conversations', status: 200 },
  { method: 'POST', path: '/conversations', body: { user: 'bob' }, status: 200 },
  { method: 'PUT', path: `/rooms/${ROOM}/read`, body: { seq: 7 }, status: 200 },
  { method: 'GET', path: '/rooms?scope=public', status: 200 },
  ...ROOM_CALLS,
  { method: 'GET', path: `/rooms/${ROOM}/members`, status: 200 },
  { method: 'POST', path: `/rooms/${ROOM}/messages`, body: { text: 'hi' }, status: 201 },
  { method: 'GET', path: `/rooms/${ROOM}/messages/7`, status: 200 },
  { method: 'GET', path: `/rooms/${ROOM}/messages/7/readers`, status: 200 },
  { method: 'PATCH', path: `/rooms/${ROOM}/messages/7`, body: { text: 'ho' }, status: 200 },
  { method: 'DELETE', path: `/rooms/${ROOM}/messages/7`, body: { reason: 'typo' }, status: 200 },
  {
    method: 'POST',
    path: `/rooms/${ROOM}/retractions`,
    body: { user: '43', from_seq: 1, to_seq: 5 },
    status: 201,
  },
  { method: 'PUT', path: `/rooms/${ROOM}/messages/7/pin`, status: 200 },
  { method: 'DELETE', path: `/rooms/${ROOM}/messages/7/pin`, status: 200 },
  { method: 'GET', path: `/rooms/${ROOM}/pins`, status: 200 },
  { method: 'GET', path: '/threads', status: 200 },
  { method: 'POST', path: `/rooms/${ROOM}/read-all`, status: 200 },
  { method: 'POST', path: '/conversations/read-all', status: 200 },
  { method: 'GET', path: `/rooms/${ROOM}/threads/2?first_unread=true`, status: 200 },
  { method: 'PUT', path: `/rooms/${ROOM}/threads/2/follow`, status: 200 },
  { method: 'DELETE', path: `/rooms/${ROOM}/threads/2/follow`, status: 200 },
  { method: 'PUT', path: `/rooms/${ROOM}/threads/2/read`, body: { seq: 7, epoch: 1 }, status: 200 },
  { method: 'PUT', path: `/rooms/${ROOM}/mute`, status: 200 },
  { method: 'DELETE', path: `/rooms/${ROOM}/mute`, status: 200 },
  { method: 'PUT', path: `/rooms/${ROOM}/draft`, body: { text: 'well' }, status: 200 },
  { method: 'DELETE', path: `/rooms/${ROOM}/draft`, status: 200 },
  { method: 'GET', path: '/users/me/state', status: 200 },
  { method: 'GET', path: '/users?ids=42,43', status: 200 },
  { method: 'GET', path: '/users/presence?ids=42', status: 200 },
  { method: 'GET', path: '/users/me', status: 200 },
  { method: 'PATCH', path: '/users/me', body: { display_name: 'Ann' }, status: 200 },
  { method: 'GET', path: '/users/me/settings', status: 200 },
  { method: 'PATCH', path: '/users/me/settings', body: { invisible: true }, status: 200 },
  {
    method: 'POST',
    path: '/users/me/password',
    body: { password: '111111', new_password: 'correct horse' },
    status: 200,
  },
  { method: 'GET', path: '/sessions', status: 200 },
  { method: 'DELETE', path: '/sessions/77', status: 200 },
  { method: 'GET', path: '/bots', status: 200 },
  { method: 'POST', path: '/bots', body: { name: 'builds' }, status: 201 },
  { method: 'POST', path: '/bots/builds/token', status: 200 },
  { method: 'DELETE', path: '/bots/50', status: 200 },
  { method: 'GET', path: '/admin/accounts', status: 200 },
  { method: 'PATCH', path: '/admin/accounts/ann', body: { state: 'suspended' }, status: 200 },
  { method: 'POST', path: '/admin/accounts/42/password', status: 200 },
  { method: 'DELETE', path: '/admin/accounts/ann/sessions', status: 200 },
  { method: 'DELETE', path: '/users/me', body: { password: '111111', retract: true }, status: 200 },
].map((call) => ({ ...call, path: `/api/v1${call.path}` }) as TestCall);
