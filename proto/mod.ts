/** The wire formats: the client's frames, the link's records, and the generated messages. */
export * from './bytes.ts';
export * from './client-addresses.ts';
export * from './frame.ts';
export * from './json.ts';
export * from './link.ts';
export * from './quote.ts';
export * from './settings.ts';
export * from './text-limit.ts';
export * as client from './gen/gochat/client/v2/client.ts';
export * as link from './gen/gochat/link/v1/link.ts';
export * as state from './gen/gochat/state/v1/state.ts';
