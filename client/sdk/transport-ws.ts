/** WebSocket transport, for browsers and Node: binary messages, one frame per message from the client. */
import type { Gateway, Transport, TransportFactory, TransportHandlers } from './transport.ts';
import { joinAddress } from '../../proto/client.ts';

export const SUBPROTOCOL = 'gochat.v2.proto';

export interface WebSocketTransportOptions {
  /** Builds the URL of a gateway. @default ws://host:wsPort/ws, or wss where the gateway has TLS */
  readonly url?: (gateway: Gateway) => string;
}

/** Makes the factory of WebSocket transports. */
export function webSocketTransport(options: WebSocketTransportOptions = {}): TransportFactory {
  const address = options.url ?? standardUrl;
  return { kind: 'ws', address, open: (gateway, handlers) => open(address(gateway), handlers) };
}

function standardUrl({ host, wsPort, tls }: Gateway): string {
  return `${tls ? 'wss' : 'ws'}://${joinAddress(host, wsPort)}/ws`;
}

function open(url: string, handlers: TransportHandlers): Transport {
  const socket = new WebSocket(url, SUBPROTOCOL);
  socket.binaryType = 'arraybuffer';
  let over = false;
  const end = (reason: string) => {
    if (over) return;
    over = true;
    handlers.onClose(reason);
  };
  socket.addEventListener('open', () => {
    if (!over) handlers.onOpen();
  });
  socket.addEventListener('message', (event) => {
    if (over || !(event.data instanceof ArrayBuffer)) return;
    handlers.onData(new Uint8Array(event.data));
  });
  socket.addEventListener('close', (event) => end(event.reason || `WebSocket closed with ${event.code}`));
  socket.addEventListener('error', () => end(`no WebSocket at ${url}`));
  return {
    send(bytes) {
      // oxlint-disable-next-line typescript/no-unnecessary-type-assertion -- in browsers it is necessary
      if (socket.readyState === WebSocket.OPEN) socket.send(bytes as Uint8Array<ArrayBuffer>);
    },
    close() {
      socket.close(1000);
    },
    destroy() {
      socket.close();
      end('closed');
    },
  };
}
