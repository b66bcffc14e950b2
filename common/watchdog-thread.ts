/** The thread of the watchdog. */
import { writeSync } from 'node:fs';
import { workerData } from 'node:worker_threads';

export interface WatchdogData {
  /** Of the process, for its log. */
  readonly name: string;
  /** One number, which the watched thread changes in each tick. */
  readonly beats: Int32Array;
  /** Ticks without a change after which the process is killed. */
  readonly limit: number;
  readonly tickMs: number;
}

const { name, beats, limit, tickMs } = workerData as WatchdogData;
const STANDARD_ERROR = 2;

let seen = -1;
let missed = 0;
setInterval(() => {
  const now = Atomics.load(beats, 0);
  missed = now === seen ? missed + 1 : 0;
  seen = now;
  if (missed < limit) return;
  const line = {
    level: 'fatal',
    time: new Date().toISOString(),
    name,
    pid: process.pid,
    msg: `the event loop has not turned for ${limit} s: the process is killed`,
  };
  writeSync(STANDARD_ERROR, `${JSON.stringify(line)}\n`);
  process.kill(process.pid, 'SIGKILL');
}, tickMs);
