/**
 * Clients of bench/placement/real.ts, each the SDK on a TCP connection: `placement-clients.ts IPCONF PLAN SECONDS`.
 *
 * They arrive evenly within the seconds, and from then on do what the SDK does: follow the redirect of a draining
 * gateway, ask ipconf again when a connection ends, wait with full jitter. On TERM it prints their attempts.
 */
import { readFileSync } from 'node:fs';
import { GochatClient, type TransportFactory, tcpTransport } from '../../client/mod.ts';
import { exitOnSignals } from '../lib/child.ts';

/** A client of the plan, which is JSON. */
export interface PlannedClient {
  readonly user: string;
  readonly token: string;
  readonly zone: string;
}

/** Attempts of the clients, printed as one line of JSON at the end. */
export interface Tried {
  /** Answers of ipconf. */
  asked: number;
  /** Connections begun. */
  attempts: number;
  /** Connections that a gateway accepted. */
  welcomed: number;
  /** Clients that have given up. */
  lost: number;
}

/** Deadline of the first connection: on a slow machine the first logins wait for one another. */
const CONNECT_TIMEOUT_MS = 60_000;

const [ipconf = '', plan = '', seconds = '60'] = process.argv.slice(2);
const clients = JSON.parse(readFileSync(plan, 'utf8')) as readonly PlannedClient[];
const tried: Tried = { asked: 0, attempts: 0, welcomed: 0, lost: 0 };

const tcp = tcpTransport();
const transport: TransportFactory = {
  ...tcp,
  open: (gateway, handlers) => {
    tried.attempts++;
    return tcp.open(gateway, handlers);
  },
};

function come({ user, token, zone }: PlannedClient): void {
  const client = new GochatClient({
    ipconf,
    transport,
    zone,
    getToken: () => Promise.resolve({ token, user }),
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
    firstConnectMs: CONNECT_TIMEOUT_MS,
    fetch: (url, init) => {
      tried.asked++;
      return fetch(url, init);
    },
  });
  client.on('connected', () => tried.welcomed++);
  client.connect().catch((error: unknown) => {
    tried.lost++;
    console.error(String(error));
  });
}

exitOnSignals();
process.on('exit', () => console.log(JSON.stringify(tried)));
for (const [i, client] of clients.entries())
  setTimeout(() => come(client), (Number(seconds) * 1000 * i) / clients.length);
