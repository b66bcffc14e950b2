/** The durable store: the port, and what opens an implementation of it. */
export { checkStoreUrl, openStore, type StoreOptions } from './open-store.ts';
export { backupSqlite, restoreSqlite } from './sqlite/backup.ts';
export type * from './store.ts';
