/** The client SDK, for Node and browsers: imports nothing but the protocol and Web APIs. */
export type { Account, Bot, BotWithToken, LoginSession } from './account.ts';
export * from './client.ts';
export * from './errors.ts';
export * from './events.ts';
export type { FetchLike, GochatClientOptions, Token } from './options.ts';
export type { BackoffOptions } from './backoff.ts';
export * from './transport.ts';
export * from './transport-ws.ts';
export * from './entries.ts';
export type { WatchTargets } from './watcher.ts';
export type { LastSeenLevel, NotificationLevel, UserSettings } from '../../proto/client.ts';
export { Fold, type FoldedPage, type Loading, type PinList, quoteOf, type Shown } from './fold.ts';
export { type SignUp, signUp } from './sign-up.ts';
export { memoryStorage, type Storage } from './storage.ts';
