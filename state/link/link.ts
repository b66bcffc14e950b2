/**
 * One gateway worker's stream: reads its records, maintains its part of the location map, and sends answers and pushes.
 */
import { CATALOGUE, describe, type ErrorCode, GochatError, type Logger } from '../../common/mod.ts';
import { type BatchStream, type BatchStreamHandler, SendResult, type StreamEnd } from '../../crpc/mod.ts';
import {
  client,
  encodeConns,
  encodeFrame,
  encodeRecord,
  FrameType,
  link,
  LinkKind,
  readU32,
} from '../../proto/mod.ts';
import { encodeAnswerRecord } from '../delivery/hot-frames.ts';
import type { Downlink, Refusal, Target } from '../session/downlink.ts';
import type { SessionEvent } from '../explain/session-log.ts';
import { Attachments } from './attachments.ts';
import { ClientFrames } from './client-frames.ts';
import type { LinkContext } from './link-context.ts';
import { listHead, Topics } from './topics.ts';
import { WatchRecords } from './watch-records.ts';
import { TraceQueries } from '../explain/trace-queries.ts';

/** Share of the queue of a stream above which ephemeral frames are dropped. */
const EPHEMERAL_QUEUE_SHARE = 0.25;

/**
 * Handles one stream of records.
 *
 * A record that does not parse is a fault of the worker, not of a client. The stream is ended; the worker opens another
 * one and makes its connections resynchronise.
 */
export class Link implements Downlink, BatchStreamHandler {
  readonly index: number;
  peerName = '';
  readonly fences = new Map<number, number>();
  readonly #stream: BatchStream;
  readonly #context: LinkContext;
  #logger: Logger;
  #opened = false;
  #ended = false;
  /** Connections that missed pushes because the stream was full. */
  readonly #lost = new Set<number>();
  readonly #topics: Topics;
  readonly #attachments: Attachments;
  readonly #frames: ClientFrames;
  readonly #watches: WatchRecords;
  readonly #traces: TraceQueries;
  readonly #onForgotten: () => void;

  constructor(stream: BatchStream, context: LinkContext, onForgotten: () => void) {
    this.#stream = stream;
    this.#context = context;
    this.#onForgotten = onForgotten;
    this.#logger = context.logger;
    this.index = context.locations.open(this);
    if (this.index < 0) throw new GochatError('OVERLOADED');
    this.#topics = new Topics((head, conns) => this.#sent(stream.send(head, conns)), stream.maxRecordBytes);
    this.#attachments = new Attachments(this, context);
    this.#frames = new ClientFrames(this, context);
    this.#watches = new WatchRecords(this, context);
    this.#traces = new TraceQueries(this);
  }

  /** Negotiated version of the link. */
  get version(): number {
    return this.#stream.protocol.version;
  }

  get ended(): boolean {
    return this.#ended;
  }

  isAttached(conn: number): boolean {
    return !this.#ended && this.#context.locations.slotOf(this.index, conn) >= 0;
  }

  onRecords(records: readonly Uint8Array[]): void {
    this.#context.stalls.check();
    for (const record of records) {
      if (this.#ended) break;
      if (record[0] !== LinkKind.FRAME || !this.#opened) this.#onControl(record);
      else if (!this.#frames.onRecord(record)) this.abandon('a FRAME record is too short');
    }
    this.#attachments.confirm();
    this.#context.sequencer.flush();
  }

  onDrain(): void {
    if (this.#lost.size === 0) return;
    const lost = [...this.#lost];
    this.#lost.clear();
    this.fence(lost);
  }

  onEnd(end: StreamEnd): void {
    this.#logger.info({ end, connections: this.#context.locations.countOf(this.index) }, 'link ended');
    this.#forget();
  }

  push(target: Target, frame: Uint8Array, except: number): boolean {
    if (this.#ended) return false;
    if (this.#stream.queuedBytes > this.#context.limits.pushBytes) {
      for (const conn of target.conns) if (conn !== except) this.#lost.add(conn);
      return false;
    }
    this.#sent(this.#stream.send(this.#topics.head(target, except), frame));
    return true;
  }

  pushEphemeral(target: Target, frame: Uint8Array, except: number): void {
    if (!this.#ended && this.#stream.queuedBytes <= this.#context.limits.pushBytes * EPHEMERAL_QUEUE_SHARE)
      this.#sent(this.#stream.send(listHead(target, except), frame));
  }

  answer(record: Uint8Array): void {
    if (!this.#ended) this.#sent(this.#stream.send(record));
  }

  refuse(refusal: Refusal): void {
    const { code } = refusal;
    const entry = CATALOGUE[code];
    this.#context.metrics.nacks.add(1, { code });
    const nack = client.Nack.encode({
      code,
      message: describe(refusal),
      retryable: entry.retryable,
      retryAfterMs: refusal.retryAfterMs ?? 0,
      clientMsgId: refusal.clientMsgId ?? '',
    }).finish();
    const frame = encodeFrame(FrameType.NACK, refusal.ref, refusal.key, nack);
    this.answer(encodeAnswerRecord(refusal.conn, frame));
  }

  kick(conn: number, code: ErrorCode, reason = ''): void {
    this.#detach(conn, true, 'kicked', reason === '' ? code : `${code}: ${reason}`);
    this.answer(encodeRecord(LinkKind.KICK, link.Kick.encode({ conn, code, reason }).finish()));
  }

  fence(conns: Iterable<number>): void {
    const list = [...conns];
    if (list.length === 0) return;
    this.#context.metrics.resyncs.add(list.length);
    this.answer(encodeConns(LinkKind.FENCE, list));
  }

  /** Asks the worker for the hops of a message. Resolves with undefined if it does not answer. */
  trace(what: Omit<link.Trace, 'number'>): Promise<link.TraceHop[] | undefined> {
    return this.#traces.ask(what);
  }

  /** Flushes and ends the stream. */
  close(): void {
    if (this.#ended) return;
    this.#stream.close();
    this.#forget();
  }

  /** Handles the worker's own records. */
  #onControl(record: Uint8Array): void {
    const body = record.subarray(1);
    try {
      switch (record[0]) {
        case LinkKind.OPEN:
          this.#onOpen(link.Open.decode(body));
          return;
        case LinkKind.ATTACH:
          if (this.#opened) return this.#attachments.attach(link.Attach.decode(body));
          break;
        case LinkKind.DETACH:
          if (this.#opened && record.length === 6) return this.#detach(readU32(record, 1), record[5] === 1);
          break;
        case LinkKind.LOGIN:
          if (this.#opened) return this.#attachments.login(link.Login.decode(body));
          break;
        case LinkKind.RENEW:
          if (this.#opened) return this.#attachments.renew(link.Renew.decode(body));
          break;
        case LinkKind.WATCH:
          if (this.#opened && this.#watches.onRecord(record)) return;
          break;
        case LinkKind.TRACED:
          if (this.#opened) return this.#traces.answered(link.Traced.decode(body));
          break;
        case LinkKind.READY:
          this.#logger.debug('link ready');
          if (this.#opened) return;
          break;
      }
    } catch (error) {
      this.abandon('a record does not parse', error);
      return;
    }
    this.abandon(`a record of kind ${record[0]} is not valid here`);
  }

  #onOpen(open: link.Open): void {
    if (this.#opened) {
      this.abandon('OPEN came twice');
      return;
    }
    this.#opened = true;
    this.peerName = `${open.gatewayName}/${open.worker}`;
    this.#logger = this.#logger.child({
      gateway: open.gatewayName,
      number: open.gateway,
      worker: open.worker,
    });
    const capabilities = [...this.#stream.protocol.capabilities];
    this.#logger.info({ version: this.version, capabilities }, 'link opened');
  }

  /** @param left whether the connection ended on purpose */
  #detach(
    conn: number,
    left: boolean,
    what: SessionEvent['what'] = left ? 'left' : 'dropped',
    detail = '',
  ): void {
    this.fences.delete(conn);
    this.#lost.delete(conn);
    this.#attachments.detach(conn, left, what, detail);
  }

  /** BACKPRESSURE needs no action: pushes check the queue, and answers are bounded by the requests. */
  #sent(result: SendResult): void {
    if (result === SendResult.CLOSED) this.abandon('the stream takes no more');
  }

  /** Ends the stream: the worker opens another one and makes its connections resynchronise. */
  abandon(reason: string, error?: unknown): void {
    if (this.#ended) return;
    this.#logger.warn(error === undefined ? { reason } : { reason, err: error }, 'link abandoned');
    this.close();
  }

  #forget(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.fences.clear();
    this.#lost.clear();
    this.#topics.clear();
    this.#attachments.forget();
    this.#traces.end();
    this.#onForgotten();
  }
}
