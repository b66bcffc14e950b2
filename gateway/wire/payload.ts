/** Payloads of clients' frames. */
import { framePayload } from '../../proto/mod.ts';

/** Returns the payload of a frame; undefined if it does not parse: callers answer every malformed payload alike. */
export function decodePayload<T>(
  message: { decode(bytes: Uint8Array): T },
  frame: Uint8Array,
): T | undefined {
  try {
    return message.decode(framePayload(frame));
  } catch {
    return undefined;
  }
}
