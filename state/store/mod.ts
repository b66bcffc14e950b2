/** The durable store: the interface, and how to open an implementation. */
export { checkStoreUrl, openStore, type StoreOptions } from './open-store.ts';
export { backupSqlite, restoreSqlite } from './sqlite/backup.ts';
export type * from './store.ts';
