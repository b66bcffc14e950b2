/** A transport without sockets, for tests of what stands above it. */
import { type Downlink, joinFrames } from './fanout.ts';
import type { Transport } from './transport.ts';

export const fakeTransport: Transport = {
  kind: 'tcp',
  pack: (frames: Downlink, owned: boolean) => joinFrames(frames, owned),
  accept: () => {},
  end: (connection) => void connection.socket.end(),
  destroy: (connection) => void connection.socket.destroy(),
  pause: () => {},
  resume: () => {},
};
