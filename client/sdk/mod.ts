/** The client SDK, for Node and browsers: imports nothing but the protocol and Web APIs. */
export * from './client.ts';
export * from './errors.ts';
export * from './events.ts';
export type { FetchLike, GochatClientOptions, Token } from './options.ts';
export type { BackoffOptions } from './backoff.ts';
export * from './transport.ts';
export * from './transport-ws.ts';
export * from './entries.ts';
export type { LastSeenLevel, UserSettings } from '../../proto/client.ts';
export type { WatchTargets } from './watcher.ts';
export { Fold, type FoldedPage, type Loading, type PinList, type Shown } from './fold.ts';
