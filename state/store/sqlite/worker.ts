/** A worker thread with the open SQLite file: a commit's fsync or a long read blocks only this thread. */
import { parentPort, workerData } from 'node:worker_threads';
import { isUnavailable, openDatabase, SchemaProblem } from './database.ts';
import { type SqliteEngine, sqliteEngine } from './engine.ts';
import { Turns } from './turns.ts';
import type { Call, CallBatch, FromWorker, Reply, WorkerSettings } from './rpc.ts';

/** Longest delay of a reply to join those of later calls of the batch. */
const MAX_REPLY_DELAY_MS = 2;

if (!parentPort) throw new Error('sqlite/worker.ts runs as a worker thread only');
const port = parentPort;
const { path, busyTimeoutMs } = workerData as WorkerSettings;

try {
  const database = await openDatabase(path, busyTimeoutMs);
  const engine = sqliteEngine(database);
  const turns = new Turns();
  port.on('message', (batch: CallBatch) => {
    void turns.run(async () => {
      if (batch.length > 0) {
        await answer(engine, batch);
      } else {
        database.close();
        port.close();
      }
    });
  });
  send({ kind: 'opened' });
} catch (error) {
  send({ kind: 'refused', reason: messageOf(error), schema: error instanceof SchemaProblem });
}

/** Calls run one after another: they share one connection, and so one transaction. */
async function answer(engine: SqliteEngine, batch: CallBatch): Promise<void> {
  let replies: Reply[] = [];
  let since = performance.now();
  for (const call of batch) {
    replies.push(await run(engine, call));
    if (performance.now() - since > MAX_REPLY_DELAY_MS) {
      send({ kind: 'replies', replies });
      replies = [];
      since = performance.now();
    }
  }
  if (replies.length > 0) send({ kind: 'replies', replies });
}

async function run(engine: SqliteEngine, { id, method, args }: Call): Promise<Reply> {
  try {
    const call = engine[method] as (...args: unknown[]) => Promise<unknown>;
    return { id, result: await call(...args) };
  } catch (error) {
    return { id, failure: { unavailable: isUnavailable(error), message: messageOf(error) } };
  }
}

function send(message: FromWorker): void {
  port.postMessage(message);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
