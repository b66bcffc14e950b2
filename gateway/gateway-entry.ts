/** A gateway's entry in the registry: what clients, ipconf and the other gateways know of it. */
import { randomUUID } from 'node:crypto';
import type { Logger } from '../common/mod.ts';
import type { Registration, Registry } from '../crpc/mod.ts';
import { advertisedHost, joinAddress } from './advertise.ts';
import type { Ports } from './control.ts';
import { type OtherGateway, otherGateways } from './elsewhere.ts';

const GATEWAY_SERVICE = 'gateway';

export interface GatewayEntryOptions {
  readonly name: string;
  /** Address that the gateway listens on. */
  readonly host: string;
  /** Host under which clients reach it; undefined: `host`, or an address of the machine where that means all. */
  readonly advertiseHost?: string | undefined;
  /** Failure domain; empty: none. */
  readonly zone: string;
  readonly version: string;
  readonly weight: number;
  readonly metadata: Readonly<Record<string, string>>;
  readonly registry: Registry;
  readonly logger: Logger;
}

/** What is known only once the gateway runs. */
export interface RunningGateway {
  readonly ports: Ports;
  /** Number leased from the registry. */
  readonly number: number;
  readonly tls: boolean;
  readonly load: Readonly<Record<string, number>>;
}

export class GatewayEntry {
  readonly #options: GatewayEntryOptions;
  readonly #host: string;
  /** Of two gateways at one address the younger one lives. */
  readonly #epoch = Date.now();
  #address = '';
  #registration: Registration | undefined;

  constructor(options: GatewayEntryOptions) {
    this.#options = options;
    this.#host = options.advertiseHost ?? advertisedHost(options.host);
  }

  /** Enters the gateway; clients come from now on. */
  async register({ ports, number, tls, load }: RunningGateway): Promise<Registration> {
    const { registry, name, zone, version, weight, metadata } = this.#options;
    this.#address = joinAddress(this.#host, ports.port);
    this.#registration = await registry.register(GATEWAY_SERVICE, {
      id: randomUUID(),
      address: this.#address,
      weight,
      zone,
      version,
      metadata: {
        ...metadata,
        name,
        ws_port: String(ports.wsPort),
        number: String(number),
        epoch: String(this.#epoch),
        ...(tls && { tls: '1' }),
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
      // Its lease runs out by itself.
      this.#options.logger.warn({ err: error }, 'the gateway could not take itself out of the registry');
    }
  }

  /** The gateway itself as a place to go to: its other workers. */
  here({ port, wsPort }: Ports, tls: boolean): OtherGateway {
    return { host: this.#host, port, wsPort, tls, share: 1 };
  }

  /** The gateways that clients may go to; none where the registry does not answer. */
  async elsewhere(): Promise<OtherGateway[]> {
    const { registry, zone, logger } = this.#options;
    try {
      return otherGateways(await registry.list(GATEWAY_SERVICE), this.#address, zone);
    } catch (error) {
      logger.warn({ err: error }, 'the other gateways are not known: clients must ask ipconf');
      return [];
    }
  }
}
