/** `gochat.v2.json`: each frame is a JSON object in its own text message, for clients without protobuf. */
import { frameFromJson, frameToJson } from '../../proto/mod.ts';
import type { Downlink } from '../push/downlink.ts';
import { headBytes, TEXT_FIN, type WireFault, writeHead, type WsWire } from './ws-wire.ts';

const NOTHING = Buffer.alloc(0);

export class JsonWire implements WsWire {
  /** Messages by frame, so that a frame is translated once for all of its receivers. */
  readonly #messages = new WeakMap<Buffer, Buffer>();
  readonly #onError: (error: unknown) => void;

  /** @param onError called when a frame from a state node does not parse; it is dropped */
  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  pack(frames: Downlink): Buffer {
    if (frames.text !== undefined) return frames.text;
    const message = this.#message(frames.frame);
    if (frames.previous === undefined) return (frames.text = message);
    const messages = [message];
    for (let node: Downlink | undefined = frames.previous; node !== undefined; node = node.previous)
      messages.push(this.#message(node.frame));
    return (frames.text = Buffer.concat(messages.reverse()));
  }

  read(message: Buffer, isBinary: boolean, max: number): Uint8Array | WireFault {
    if (isBinary) return { code: 'JSON_INVALID', details: { what: 'it is a binary message' } };
    if (message.length > max) return { code: 'FRAME_TOO_LARGE', details: { max } };
    const frame = frameFromJson(message.toString());
    if (frame instanceof Uint8Array) return frame;
    return { code: frame.code, details: { what: frame.what, type: frame.what }, refused: frame };
  }

  #message(frame: Buffer): Buffer {
    const known = this.#messages.get(frame);
    if (known !== undefined) return known;
    const message = this.#translate(frame);
    this.#messages.set(frame, message);
    return message;
  }

  #translate(frame: Buffer): Buffer {
    let json: string;
    try {
      json = frameToJson(frame);
    } catch (error) {
      this.#onError(error);
      return NOTHING;
    }
    const bytes = Buffer.byteLength(json);
    const message = Buffer.allocUnsafeSlow(headBytes(bytes) + bytes);
    message.write(json, writeHead(message, 0, TEXT_FIN, bytes));
    return message;
  }
}
