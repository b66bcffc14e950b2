/** A transport without sockets, for tests of the layer above it. */
import { type Downlink, joinFrames } from '../push/downlink.ts';
import type { Transport } from '../connections/connection.ts';

export const fakeTransport: Transport = {
  kind: 'tcp',
  pack: (frames: Downlink, owned: boolean) => joinFrames(frames, owned),
  accept: () => {},
  end: (connection) => void connection.socket.end(),
  destroy: (connection) => void connection.socket.destroy(),
  pause: () => {},
  resume: () => {},
};
