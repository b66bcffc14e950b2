/**
 * A client that the tabs of a browser share: one of them is connected, the others call through it and get its events. When
 * that tab closes, another one connects and goes on; what was not answered is asked again, as all calls may be.
 *
 * Who is connected holds a lock (Web Locks); the rest goes through a BroadcastChannel. Where the browser has no locks, as on
 * pages of other machines without TLS, each tab is connected by itself.
 */
import type { GochatClient } from '../sdk/mod.ts';
import { Tabs, type TabsOptions } from './tabs.ts';

/** Calls that any tab may make. */
const CALLS = [
  'markUnread',
  'self',
  'mute',
  'saveDraft',
  'setSettings',
  'listConversations',
  'getConversation',
  'history',
  'pins',
  'members',
  'users',
  'openDirect',
  'createRoom',
  'joinRoom',
  'leaveRoom',
  'removeMember',
  'setRole',
  'listRooms',
  'setDisplayName',
  'logout',
  'markRead',
  'typing',
  'reconnect',
] as const;
const ACCOUNT_CALLS = ['changePassword', 'sessions', 'endSession'] as const;
/** Calls that send, and where their options stand. Such a call, made twice, is stored once: its id is made here. */
const SENDS = { send: 2, edit: 3, retract: 2, pin: 2, unpin: 2 } as const;

type Calls = Pick<GochatClient, (typeof CALLS)[number] | keyof typeof SENDS>;
type Account = Pick<GochatClient['account'], (typeof ACCOUNT_CALLS)[number]>;

/** What a page does with a client. */
export interface TabClient
  extends Calls,
    Pick<GochatClient, 'on' | 'onAny' | 'watch' | 'displayName' | 'maxTextBytes' | 'connect'> {
  readonly account: Account;
  /** Whether this tab is the connected one. */
  readonly isLeading: boolean;
  /** Leaves the other tabs, who go on. */
  close(): void;
}

export function tabClient(options: TabsOptions): TabClient {
  const tabs = new Tabs(options);
  const prefix = crypto.getRandomValues(new Uint32Array(3)).join('-');
  let count = 0;
  const call =
    (path: string) =>
    (...args: readonly unknown[]) =>
      tabs.call(path, args);
  const send =
    (name: string, at: number) =>
    (...args: readonly unknown[]) => {
      const options = { clientMsgId: `${prefix}-${++count}`, ...(args[at] as object | undefined) };
      return tabs.call(name, [...args.slice(0, at), options]);
    };
  const calls = Object.fromEntries([
    ...CALLS.map((name) => [name, call(name)] as const),
    ...Object.entries(SENDS).map(([name, at]) => [name, send(name, at)] as const),
  ]) as unknown as Calls;
  const account = Object.fromEntries(ACCOUNT_CALLS.map((name) => [name, call(`account.${name}`)]));
  return {
    ...calls,
    account: account as unknown as Account,
    on: (type, listener) => tabs.on(type, listener),
    onAny: (listener) => tabs.onAny(listener),
    watch: (targets) => tabs.watch(targets),
    displayName: (user) => tabs.displayName(user),
    connect: () => tabs.connect(),
    close: () => tabs.close(),
    get maxTextBytes() {
      return tabs.maxTextBytes;
    },
    get isLeading() {
      return tabs.isLeading;
    },
  };
}
