/** `gochat.v2.proto`: the frames of TCP in binary messages, one per message from the client, a tick's from the server. */
import { HEADER_BYTES, LENGTH_BYTES, readU32 } from '../../proto/mod.ts';
import { type Downlink, fillFrames } from '../push/downlink.ts';
import { BINARY_FIN, headBytes, type WireFault, writeHead, type WsWire } from './ws-wire.ts';

export const protoWire: WsWire = {
  pack(frames: Downlink, owned: boolean): Buffer {
    if (frames.message !== undefined) return frames.message;
    const { bytes } = frames;
    const size = headBytes(bytes) + bytes;
    const message = owned ? Buffer.allocUnsafeSlow(size) : Buffer.allocUnsafe(size);
    writeHead(message, 0, BINARY_FIN, bytes);
    fillFrames(frames, message, size);
    frames.message = message;
    return message;
  },

  read(message: Buffer, isBinary: boolean, max: number): Uint8Array | WireFault {
    if (!isBinary) return { code: 'FRAME_INVALID' };
    if (message.length - LENGTH_BYTES > max) return { code: 'FRAME_TOO_LARGE', details: { max } };
    if (message.length < HEADER_BYTES) return { code: 'FRAME_TOO_SHORT' };
    return readU32(message, 0) === message.length - LENGTH_BYTES ? message : { code: 'FRAME_INVALID' };
  },
};
