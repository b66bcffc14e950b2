/** Migrates the database of $DATABASE_URL (else GOCHAT_STORE) to this version. State nodes do the same when they start. */
import { pino } from 'pino';
import { openStore } from '../state/mod.ts';

const url = process.env['DATABASE_URL'] ?? process.env['GOCHAT_STORE'];
if (url === undefined) {
  process.stderr.write('migrate: set DATABASE_URL to a postgres:// or sqlite:// URL\n');
  process.exit(2);
}
const store = await openStore(url, { logger: pino() });
await store.close();
