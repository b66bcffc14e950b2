/** Where the clients of a gateway that drains may go: the other gateways, each as likely as it has room. */
import type { Endpoint } from '../crpc/mod.ts';

/** Another gateway, as a client reaches it. */
export interface OtherGateway {
  readonly host: string;
  readonly port: number;
  /** 0: it has none. */
  readonly wsPort: number;
  readonly tls: boolean;
  /** Connections that it may still take, > 0. */
  readonly room: number;
}

/**
 * Picks the gateways that take clients out of what is registered; those of the same zone where there are any.
 *
 * The one best of them would get everybody at once, so all of them are named, in proportion to their room.
 */
export function otherGateways(endpoints: readonly Endpoint[], zone: string): OtherGateway[] {
  const open = endpoints.filter(({ load }) => load['draining'] !== 1 && roomOf(load) > 0);
  const near = open.filter((endpoint) => zone !== '' && endpoint.zone === zone);
  return (near.length > 0 ? near : open).flatMap(({ address, metadata, load }) => {
    const [, host, port] = /^\[?(.+?)\]?:(\d+)$/.exec(address) ?? [];
    if (host === undefined) return [];
    const tls = metadata['tls'] === '1';
    return [{ host, port: Number(port), wsPort: Number(metadata['ws_port'] ?? 0), tls, room: roomOf(load) }];
  });
}

/** Draws one of them by its room; undefined of none. @param random in [0, 1) */
export function drawGateway(
  gateways: readonly OtherGateway[],
  random: () => number = Math.random,
): OtherGateway | undefined {
  let at = random() * gateways.reduce((sum, { room }) => sum + room, 0);
  return gateways.find(({ room }) => (at -= room) < 0) ?? gateways.at(-1);
}

function roomOf(load: Endpoint['load']): number {
  return (load['max_connections'] ?? 0) - (load['connections'] ?? 0);
}
