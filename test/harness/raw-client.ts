/** A raw client: single frames on its own TCP connection, without the rules of a client. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { within } from './eventually.ts';
import { Close, encodeFrame, FrameParser, framePayload, FrameType, Hello } from '../../proto/client.ts';
import type { SystemUrls } from './gochat.ts';

/** A raw connection that collects received frames. */
export class RawClient implements AsyncDisposable {
  readonly frames: Uint8Array[] = [];
  readonly socket: Socket;
  readonly #closed: Promise<unknown>;
  readonly #parser = new FrameParser(1 << 24);

  /** @param address host:port of a gateway @param from local address; default: any */
  constructor(address: string, from?: string) {
    const { hostname, port } = new URL(`tcp://${address}`);
    const host = hostname.replace(/^\[(.*)\]$/, '$1');
    this.socket = connect({ host, port: Number(port), ...(from !== undefined && { localAddress: from }) });
    this.socket.on('data', (chunk) => this.#parser.push(chunk, (frame) => void this.frames.push(frame)));
    // The server may end a hostile connection with a reset.
    this.socket.on('error', () => undefined);
    this.#closed = new Promise((resolve) => this.socket.once('close', resolve));
  }

  /** Resolves when the connection has ended. */
  get closed(): Promise<unknown> {
    return within('the end of the connection', this.#closed);
  }

  send(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  /** Returns the first frame of this type, past or future. */
  async frame(type: number): Promise<Uint8Array> {
    for (;;) {
      const found = this.frames.find((frame) => frame[4] === type);
      if (found) return found;
      if (this.socket.destroyed) throw new Error(`closed before frame ${type}`);
      await within(`frame ${type}`, Promise.race([once(this.socket, 'data'), this.#closed]));
    }
  }

  /** Waits for CLOSE and the end. Returns the CLOSE. */
  async closeFrame(): Promise<Close> {
    const close = Close.decode(framePayload(await this.frame(FrameType.CLOSE)));
    await this.closed;
    return close;
  }

  /** Sends HELLO and waits for WELCOME. */
  async hello(token: string, fields: Partial<Hello> = {}): Promise<void> {
    this.send(helloFrame({ token, ...fields }));
    await this.frame(FrameType.WELCOME);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
    await this.#closed;
  }
}

export function helloFrame(fields: Partial<Hello>): Uint8Array {
  const message = Hello.fromPartial({ versionMin: 2, versionMax: 2, client: 'test', ...fields });
  return encodeFrame(FrameType.HELLO, 0, 0n, Hello.encode(message).finish());
}

/** Logs in over HTTP and returns the token. */
export async function tokenOf(urls: SystemUrls, name: string, password: string): Promise<string> {
  const response = await fetch(`${urls.api}/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name, password }),
  });
  if (!response.ok) throw new Error(`login of ${name}: ${response.status} ${await response.text()}`);
  return ((await response.json()) as { token: string }).token;
}
