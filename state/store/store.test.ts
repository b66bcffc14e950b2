/** The contract suite on each engine. */
import { scratchPostgres, scratchSqlite } from './scratch.contract.ts';
import { describeStore } from './store.contract.ts';

describeStore('SQLite', scratchSqlite);
describeStore('PostgreSQL', scratchPostgres);
