/** A gateway's entry in the registry, read by ipconf and the other gateways. */
import { randomUUID } from 'node:crypto';
import type { Logger } from '../../common/mod.ts';
import type { Registration, Registry } from '../../crpc/mod.ts';
import { type ClientAddresses, writeClientAddresses } from '../../proto/mod.ts';
import { type Advertised, clientAddress } from '../accept/advertise.ts';
import type { Ports } from './control.ts';
import { type AlternateGateway, alternateGateways } from '../connections/redirect.ts';

const GATEWAY_SERVICE = 'gateway';

export interface GatewayEntryOptions {
  readonly name: string;
  /** Listening address of the gateway. */
  readonly host: string;
  /** How clients reach its ports. */
  readonly advertise: Readonly<Record<'tcp' | 'ws', Advertised>>;
  /** Failure domain; empty: none. */
  readonly zone: string;
  readonly version: string;
  readonly weight: number;
  readonly metadata: Readonly<Record<string, string>>;
  readonly registry: Registry;
  readonly logger: Logger;
}

/** Facts that are known only once the gateway runs. */
export interface RunningGateway {
  readonly ports: Ports;
  /** Number leased from the registry. */
  readonly number: number;
  /** Whether it terminates TLS itself. */
  readonly tls: boolean;
  readonly load: Readonly<Record<string, number>>;
}

export class GatewayEntry {
  readonly #options: GatewayEntryOptions;
  /** Of two gateways at one address the younger one wins. */
  readonly #epoch = Date.now();
  #address = '';
  #registration: Registration | undefined;

  constructor(options: GatewayEntryOptions) {
    this.#options = options;
  }

  /** Registers the gateway; clients come from now on. */
  async register({ ports, number, tls, load }: RunningGateway): Promise<Registration> {
    const { registry, name, zone, version, weight, metadata } = this.#options;
    const entry = writeClientAddresses(this.#addresses(ports, tls));
    this.#address = entry.address;
    this.#registration = await registry.register(GATEWAY_SERVICE, {
      id: randomUUID(),
      address: entry.address,
      weight,
      zone,
      version,
      metadata: {
        ...metadata,
        name,
        ...entry.metadata,
        number: String(number),
        epoch: String(this.#epoch),
      },
      load,
    });
    return this.#registration;
  }

  async deregister(): Promise<void> {
    const registration = this.#registration;
    this.#registration = undefined;
    try {
      await registration?.deregister();
    } catch (error) {
      // Its lease expires by itself.
      this.#options.logger.warn({ err: error }, 'the gateway could not deregister; its lease will expire');
    }
  }

  /** Returns this gateway as a redirect to its other workers. */
  here(ports: Ports, tls: boolean): AlternateGateway {
    return { ...this.#addresses(ports, tls), share: 1 };
  }

  /** Returns the redirects for this gateway's clients; empty if the registry does not answer. */
  async redirects(): Promise<AlternateGateway[]> {
    const { registry, zone, logger } = this.#options;
    try {
      return alternateGateways(await registry.list(GATEWAY_SERVICE), this.#address, zone);
    } catch (error) {
      logger.warn(
        { err: error },
        'the registry does not answer: clients get no redirect and must ask ipconf',
      );
      return [];
    }
  }

  #addresses({ port, wsPort }: Ports, tls: boolean): ClientAddresses {
    const { host, advertise } = this.#options;
    return {
      tcp: clientAddress({ host, port, tls }, advertise.tcp),
      ws: clientAddress({ host, port: wsPort, tls }, advertise.ws),
    };
  }
}
