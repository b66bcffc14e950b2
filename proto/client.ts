/** The protocol for clients, browser-safe: frames and their payloads. */
export { joinAddress } from './client-addresses.ts';
export * from './frame.ts';
export * from './json.ts';
export * from './quote.ts';
export * from './settings.ts';
export * from './gen/gochat/client/v2/client.ts';
