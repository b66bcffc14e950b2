/** The addresses that a gateway advertises to clients. */
import { advertisedHost } from '../../common/mod.ts';
import type { ClientAddress } from '../../proto/mod.ts';
import type { Port } from '../supervisor/control.ts';

/** An operator's settings of how clients reach a port; undefined: as it listens. */
export interface Advertised {
  /** A name or an address. */
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  /** Whether clients must use TLS, wherever it is terminated. */
  readonly tls?: boolean | undefined;
}

/** Returns the address at which clients reach a port; undefined if the port is off. */
export function clientAddress(
  listens: { readonly host: string; readonly port: Port; readonly tls: boolean },
  { host, port, tls }: Advertised,
): ClientAddress | undefined {
  if (listens.port === 'off') return undefined;
  return {
    host: host ?? advertisedHost(listens.host),
    port: port ?? listens.port,
    tls: tls ?? listens.tls,
  };
}
