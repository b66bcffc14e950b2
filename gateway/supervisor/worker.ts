/** Entry of a worker thread: a WorkerNode, driven by the supervisor's messages. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { parentPort, workerData } from 'node:worker_threads';
import {
  answerPingsOfClosingSessions,
  createLogger,
  openMemory,
  openWriteMany,
  startHeapTrim,
} from '../../common/mod.ts';
import { BatchLink } from '../../crpc/mod.ts';
import { link, LINK_PROTOCOL } from '../../proto/mod.ts';
import type { FromWorker, Port, Ports, ToWorker, WorkerData } from './control.ts';
import { SETTLE_MS } from '../limits.ts';
import { WorkerNode } from './worker-node.ts';

const STATS_INTERVAL_MS = 1000;
/** Interval of the check for a sharp change; the supervisor decides whether to publish it. */
const CHANGE_INTERVAL_MS = 100;
const CHANGED_CONNECTIONS = 16;
const DELAY_RESOLUTION_MS = 20;

if (parentPort === null) throw new Error('gateway/worker is the entry of a worker thread');
const supervisor = parentPort;
const data = workerData as WorkerData;
const logger = createLogger({ name: data.gatewayName, level: data.logLevel }).child({ worker: data.worker });
const { clusterToken, tls } = data;

const node = new WorkerNode({
  ...data,
  logger,
  writeMany: await openWriteMany(logger),
  open: (address, handler) =>
    new BatchLink({
      address,
      service: link.LinkServiceService,
      protocol: LINK_PROTOCOL,
      peer: `${data.gatewayName}/${data.worker}`,
      handler,
      logger,
      ...(clusterToken !== undefined && { token: clusterToken }),
      ...(tls !== undefined && { tls }),
    }),
  onRouteChange: () => {
    postStats();
    if (node.canServe) ready();
  },
});

let posted = 0;
const watching = setInterval(() => {
  if (Math.abs(node.size - posted) >= CHANGED_CONNECTIONS) postStats();
}, CHANGE_INTERVAL_MS);

startHeapTrim(openMemory(logger));
answerPingsOfClosingSessions(logger);

const delays = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
delays.enable();
const reporting = setInterval(() => {
  // Samples are the distances between a timer's ticks, which are its interval when idle.
  node.stats.loopDelayMs = delays.count === 0 ? 0 : Math.max(0, delays.mean / 1e6 - DELAY_RESOLUTION_MS);
  delays.reset();
  postStats();
}, STATS_INTERVAL_MS);

/** Ports are opened and closed in the order of the supervisor's messages. */
let turn: Promise<void> = Promise.resolve();

supervisor.on('message', (message: ToWorker) => {
  switch (message.kind) {
    case 'nodes':
      node.setStateNodes(message.nodes);
      break;
    case 'keys':
      node.setKeys(message.jwks);
      if (node.canServe) ready();
      break;
    case 'ticket-keys':
      node.setTicketKeys(message.jwks);
      break;
    case 'gateway':
      node.setGateway(message.gateway);
      break;
    case 'tls':
      node.setTls(message.tls);
      break;
    case 'drain':
      void node.drain(message.deadlineMs, message.redirects).then(() => post({ kind: 'drained' }));
      break;
    case 'limits':
      node.setLimits(message.limits);
      break;
    case 'listen':
      turn = turn.then(() => listen(message));
      break;
    case 'pause':
      turn = turn.then(() => node.pause());
      break;
    case 'stop':
      clearInterval(reporting);
      clearInterval(watching);
      void node.stop().then(() => {
        postStats();
        post({ kind: 'stopped' });
      });
      break;
  }
});

let failed = false;
process.on('uncaughtException', (error) => void fail(error));

let isReady = false;
const settling = setTimeout(ready, SETTLE_MS);

function ready(): void {
  if (isReady) return;
  isReady = true;
  clearTimeout(settling);
  post({ kind: 'ready' });
}

/** Opens all ports that are not off, or none. */
async function listen(ports: Ports): Promise<void> {
  const { host, reusePort } = data;
  const open = async (kind: 'tcp' | 'ws', port: Port): Promise<Port> =>
    port === 'off' ? port : node.listen(kind, { host, port, reusePort });
  let on: keyof Ports = 'port';
  try {
    const port = await open('tcp', ports.port);
    on = 'wsPort';
    const wsPort = await open('ws', ports.wsPort);
    post({ kind: 'listening', port, wsPort });
  } catch (error) {
    node.pause();
    const { code, message } = error as NodeJS.ErrnoException;
    post({ kind: 'refused', on, reason: code ?? message });
  }
}

async function fail(error: Error): Promise<void> {
  if (failed) return;
  failed = true;
  logger.error({ err: error }, 'a gateway worker failed; its clients reconnect');
  clearInterval(reporting);
  clearInterval(watching);
  try {
    await node.stop('WORKER_FAILED');
  } finally {
    postStats();
    post({ kind: 'failed', error });
  }
}

function postStats(): void {
  posted = node.size;
  post({ kind: 'stats', stats: node.stats });
}

function post(message: FromWorker): void {
  supervisor.postMessage(message, []);
}
