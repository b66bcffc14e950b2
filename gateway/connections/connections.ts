/** Opening and closing of a worker's connections: counts each end, sends CLOSE, and reports it to state once. */
import type { Duplex } from 'node:stream';
import type { CodeWithDetails, ErrorCode, PlainErrorCode } from '../../common/mod.ts';
import { closeFrame } from '../route/answers.ts';
import { Connection, type Peer, Phase, type Transport } from './connection.ts';
import type { ConnectionTable } from './connection-table.ts';
import type { Deadlines } from './deadlines.ts';
import { Drain } from './drain.ts';
import { drawGateway, type AlternateGateway } from './redirect.ts';
import type { Fanout } from '../push/fanout.ts';
import type { AdmissionControl } from './admission.ts';
import { type GatewayLimits, MAX_REFUSED, STOP_GRACE_MS } from '../limits.ts';
import type { Uplink } from '../route/uplink.ts';
import { type DisconnectCode, PEER_GONE, PEER_RESET, type WorkerStats } from '../supervisor/worker-stats.ts';

/** Codes after which a client does not reconnect. */
const LEFT: ReadonlySet<DisconnectCode> = new Set([
  'CLIENT_GOODBYE',
  'SESSION_REPLACED',
  'LOGGED_OUT',
  'TOKEN_REVOKED',
  'KICKED',
]);

const DRAINING = { code: 'SERVER_DRAINING' } as const;

export interface ConnectionsContext {
  readonly table: ConnectionTable;
  readonly stats: WorkerStats;
  readonly limits: Pick<GatewayLimits, 'maxConnections'>;
  readonly admission: Pick<AdmissionControl, 'leaveAccount'>;
  readonly deadlines: Pick<Deadlines, 'onAccept' | 'onClosing' | 'onClosed'>;
  readonly fanout: Pick<Fanout, 'sendLast' | 'end'>;
  readonly uplink: Pick<Uplink, 'detach'>;
  /** Drops the pending login. */
  forget(connection: Connection): void;
}

export class Connections {
  readonly #context: ConnectionsContext;
  #drain: Drain | undefined;

  constructor(context: ConnectionsContext) {
    this.#context = context;
  }

  /** Whether new connections are refused. */
  get draining(): boolean {
    return this.#drain !== undefined;
  }

  /** Makes the connection of a socket; undefined if there is no room even to send a refusal. */
  open(transport: Transport, socket: Duplex, peer: Peer): Connection | undefined {
    const { table, stats, limits, deadlines } = this.#context;
    stats.accepts++;
    const over = table.size - limits.maxConnections;
    if (over >= MAX_REFUSED) {
      this.count('TOO_MANY_CONNECTIONS');
      return undefined;
    }
    const connection = table.add((conn) => new Connection(conn, transport, socket, peer));
    stats.connections[transport.kind]++;
    deadlines.onAccept(connection);
    if (this.#drain) this.close(connection, 'SERVER_DRAINING');
    else if (over >= 0) this.close(connection, 'TOO_MANY_CONNECTIONS');
    return connection;
  }

  /** Sends CLOSE with a code and ends the connection. Idempotent. */
  close(connection: Connection, said: PlainErrorCode | CodeWithDetails, retryAfterMs?: number): void {
    const whole = typeof said === 'string' ? { code: said } : said;
    this.#closeWith(connection, whole, () => closeFrame(whole, retryAfterMs));
  }

  /** Ends the socket after the frames of this tick. Idempotent. */
  end(connection: Connection, code: ErrorCode): void {
    if (connection.phase >= Phase.CLOSING) return;
    this.#leave(connection, code);
    connection.phase = Phase.CLOSING;
    this.#context.fanout.end(connection);
    this.#context.deadlines.onClosing(connection);
  }

  /** The socket is closed. @param isCutOff whether it ended without a FIN or close frame */
  onGone(connection: Connection, isCutOff: boolean): void {
    const { table, stats, deadlines } = this.#context;
    if (connection.phase < Phase.CLOSING) this.#leave(connection, isCutOff ? PEER_RESET : PEER_GONE);
    connection.phase = Phase.CLOSED;
    connection.out = undefined;
    deadlines.onClosed(connection);
    table.delete(connection);
    stats.connections[connection.transport.kind]--;
    if (table.size === 0) this.#drain?.onEmpty();
  }

  /** Counts the end of a connection or pending socket. */
  count(code: DisconnectCode): void {
    const { disconnects } = this.#context.stats;
    disconnects[code] = (disconnects[code] ?? 0) + 1;
  }

  /** Closes all connections with a redirect, spread over the first half of the deadline; resolves when all have ended. */
  drain(deadlineMs: number, redirects: readonly AlternateGateway[]): Promise<void> {
    this.#drain ??= new Drain(this.#context.table, (connection) =>
      this.#closeWith(connection, DRAINING, () =>
        closeFrame(DRAINING, undefined, drawGateway(redirects, connection.transport.kind)),
      ),
    );
    return this.#drain.run(deadlineMs, deadlineMs / 2);
  }

  /** Sends CLOSE to all clients, gives the sockets a moment to end, and destroys the rest. */
  async stop(code: PlainErrorCode): Promise<void> {
    const { table } = this.#context;
    this.#drain?.cancel();
    this.#drain = new Drain(table, (connection) => this.close(connection, code));
    await this.#drain.run(STOP_GRACE_MS, 0);
    for (const connection of table) connection.transport.destroy(connection);
  }

  #closeWith(connection: Connection, said: CodeWithDetails, frame: () => Uint8Array): void {
    if (connection.phase >= Phase.CLOSING) return;
    this.#context.fanout.sendLast(connection, frame());
    connection.closed = said;
    this.end(connection, said.code);
  }

  /** Reports to state that the connection is gone. */
  #leave(connection: Connection, code: DisconnectCode): void {
    const left = LEFT.has(code);
    if (connection.attached) this.#context.uplink.detach(connection.conn, left);
    else connection.login?.link?.detach(connection.conn, left);
    this.#context.forget(connection);
    this.#context.admission.leaveAccount(connection);
    connection.held = undefined;
    this.count(code);
  }
}
