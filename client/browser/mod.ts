/** What the SDK needs of a browser: a storage, and one connection for all tabs. */
export { indexedDbStorage } from './storage-indexed-db.ts';
export { type TabClient, tabClient } from './tab-client.ts';
