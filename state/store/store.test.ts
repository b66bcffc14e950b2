/** The contract suite on each engine. */
import { scratchPostgres, scratchSqlite } from './contract/scratch.contract.ts';
import { describeStore } from './contract/store.contract.ts';

describeStore('SQLite', scratchSqlite);
describeStore('PostgreSQL', scratchPostgres);
