/** The frames that leave for connections with one tick. */

/**
 * The frames of a tick up to one of them, as a list that grows at its end and is shared from its beginning.
 *
 * Connections that got the same frames in the same order hold the same node, whatever their number, so a delivery
 * costs no allocation and the frames of a room are joined once for all of its members.
 */
export interface Downlink {
  readonly previous: Downlink | undefined;
  readonly frame: Buffer;
  readonly count: number;
  readonly bytes: number;
  /** Number of the frame in the TraceRing; -1: it leaves no trace. */
  readonly trace: number;
  /** The list with one more frame that was asked for last. */
  next: Downlink | undefined;
  /** The frames joined, in memory of their own. */
  joined: Buffer | undefined;
  /** The same as one WebSocket message. */
  message: Buffer | undefined;
  /** The same as WebSocket messages of JSON. */
  text: Buffer | undefined;
}

/** Returns a list with one more frame. */
export function extend(list: Downlink | undefined, frame: Buffer, trace: number): Downlink {
  return {
    previous: list,
    frame,
    count: list === undefined ? 1 : list.count + 1,
    bytes: list === undefined ? frame.length : list.bytes + frame.length,
    trace,
    next: undefined,
    joined: undefined,
    message: undefined,
    text: undefined,
  };
}

/**
 * Returns the list's frames in one buffer.
 *
 * A single frame is a view on the batch it came with. Unless it is most of that it is copied: the socket may not take
 * it, and a small frame that waits must not hold a whole batch in memory. For one that is behind (`owned`) the copy
 * has memory of its own.
 */
export function joinFrames(list: Downlink, owned: boolean): Buffer {
  if (list.count === 1 && list.frame.length * 2 >= list.frame.buffer.byteLength) return list.frame;
  if (list.joined !== undefined) return list.joined;
  const joined = owned ? Buffer.allocUnsafeSlow(list.bytes) : Buffer.allocUnsafe(list.bytes);
  fillFrames(list, joined, list.bytes);
  list.joined = joined;
  return joined;
}

/** Copies the list's frames into a buffer so that they stop at `end`. */
export function fillFrames(list: Downlink, into: Buffer, end: number): void {
  for (let node: Downlink | undefined = list; node !== undefined; node = node.previous) {
    end -= node.frame.length;
    into.set(node.frame, end);
  }
}
