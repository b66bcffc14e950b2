/** The path of one message through the gateways and this node, for `gochat ctl trace`. */
import type { link as wire } from '../../proto/mod.ts';
import type { TraceRing } from './trace-ring.ts';

/** A gateway worker that can be asked. */
export interface TracedWorker {
  readonly peerName: string;
  trace(what: Omit<wire.Trace, 'number'>): Promise<wire.TraceHop[] | undefined>;
}

/** One step of a message; further fields depend on `what`. */
export interface Hop {
  /** Unix time, ms. */
  readonly atMs: number;
  /** Name of the gateway and its worker, or of this node. */
  readonly where: string;
  readonly what: string;
  readonly [detail: string]: string | number | boolean;
}

export interface MessagePath {
  /** The oldest first. */
  readonly hops: readonly Hop[];
  /** Gateway workers that did not answer. */
  readonly silent: readonly string[];
}

const NO_SENDS = { conversation: 0n, sender: 0n, fingerprint: 0 };

/**
 * Asks every connected worker for its hops of a message. The hops of its SENT then identify the attempts to send it,
 * which happened before it had an id, perhaps at another gateway.
 */
export async function messagePath(
  id: bigint,
  node: string,
  traces: TraceRing,
  workers: Iterable<TracedWorker>,
): Promise<MessagePath> {
  const asked = new Set(workers);
  const silent: string[] = [];
  const ask = async (what: Omit<wire.Trace, 'number'>) => {
    const answers = Array.from(asked, async (worker) => {
      const hops = await worker.trace(what);
      if (hops === undefined) {
        silent.push(worker.peerName);
        asked.delete(worker);
      }
      return (hops ?? []).map((hop) => ({ ...hop, where: worker.peerName }));
    });
    return (await Promise.all(answers)).flat();
  };
  const known = await ask({ message: id, ...NO_SENDS });
  const sent = known.find(({ fingerprint, sender }) => fingerprint !== 0 && sender !== 0n);
  const attempts = sent === undefined ? [] : await ask({ ...attemptsOf(sent), message: 0n });
  const committed = traces.find(id).map(
    ({ atMs, conversation, sender, seq, commitMs, batch, duplicate, pushed, skipped }): Hop => ({
      atMs,
      where: node,
      what: duplicate ? 'found-committed' : 'committed',
      conversation: conversation.toString(),
      sender: sender.toString(),
      seq,
      commitMs: Math.round(commitMs * 10) / 10,
      batch,
      pushed,
      skipped,
    }),
  );
  const hops = [...[...attempts, ...known].map(toHop), ...committed].toSorted((a, b) => a.atMs - b.atMs);
  return { hops, silent };
}

function attemptsOf({ conversation, sender, fingerprint }: wire.TraceHop) {
  return { conversation, sender, fingerprint };
}

/** Converts a hop to the fields of its kind. */
function toHop(hop: wire.TraceHop & { readonly where: string }): Hop {
  const { atMs, where, what, conn, ref, state, code, sockets, slow, gone } = hop;
  const begin = { atMs, where, what };
  if (what === 'pushed') return { ...begin, sockets, slow, gone };
  if (what === 'acknowledged') return { ...begin, connection: conn, ref, sockets, slow, gone };
  if (what === 'received') return { ...begin, connection: conn, ref, to: state };
  return { ...begin, connection: conn, ref, code };
}
