/** The frames that are written to connections in one tick. */

/**
 * A node of a tick's frame lists: the frames up to this one. Lists grow at the end and share their beginnings.
 *
 * All connections that got the same frames in the same order hold the same node. So a delivery costs no allocation, and
 * the frames of a room are joined once for all of its members.
 */
export interface Downlink {
  readonly previous: Downlink | undefined;
  readonly frame: Buffer;
  readonly count: number;
  readonly bytes: number;
  /** Number of the frame in the TraceRing; -1 if it is not traced. */
  readonly trace: number;
  /** The extension of this list that was made last. */
  next: Downlink | undefined;
  /** The joined frames, in their own memory. */
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
 * A single frame is a view of the batch that it came in. It is copied unless it is most of the batch: if the socket
 * queues it, a small frame must not keep a whole batch in memory. For a slow connection (`owned`) the copy has its own
 * memory.
 */
export function joinFrames(list: Downlink, owned: boolean): Buffer {
  if (list.count === 1 && list.frame.length * 2 >= list.frame.buffer.byteLength) return list.frame;
  if (list.joined !== undefined) return list.joined;
  const joined = owned ? Buffer.allocUnsafeSlow(list.bytes) : Buffer.allocUnsafe(list.bytes);
  fillFrames(list, joined, list.bytes);
  list.joined = joined;
  return joined;
}

/** Copies the list's frames into a buffer so that they end at `end`. */
export function fillFrames(list: Downlink, into: Buffer, end: number): void {
  for (let node: Downlink | undefined = list; node !== undefined; node = node.previous) {
    end -= node.frame.length;
    into.set(node.frame, end);
  }
}
