/** The state server and its engines. */
export type { SeedAccount } from './identity/accounts.ts';
export { checkHotStateUrl, openHotState } from './hot/mod.ts';
export type { HotState } from './hot/mod.ts';
export { accessCheck, DEFAULT_ENTRY_RULES } from './policy.ts';
export { DEFAULT_LIMITS } from './limits.ts';
export type { Rate, StateLimits } from './limits.ts';
export { StateServer } from './server.ts';
export type { StateServerOptions } from './server.ts';
export { backupSqlite, checkStoreUrl, openStore, restoreSqlite } from './store/mod.ts';
export type { Store } from './store/mod.ts';
