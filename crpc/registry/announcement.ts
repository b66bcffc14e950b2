/** A server's registration: made once it listens, removed before it stops listening. */
import { randomUUID } from 'node:crypto';
import type { Endpoint, Registration, Registry } from './registry.ts';

const DEFAULT_SETTLE_MS = 100;

export interface AnnounceOptions
  extends Partial<Pick<Endpoint, 'id' | 'weight' | 'zone' | 'version' | 'metadata' | 'load'>> {
  /** Closed by the caller. */
  readonly registry: Registry;
  /** Service name for look-ups: etcd:///SERVICE. */
  readonly service: string;
  /** Host at which others reach the server. @default the one it listens on */
  readonly host?: string;
  /** Time for which the server still takes calls after deregistering, so that callers learn of it. @default 100 ms */
  readonly settleMs?: number;
}

export class Announcement {
  readonly #options: AnnounceOptions;
  #registration: Registration | undefined;

  constructor(options: AnnounceOptions) {
    this.#options = options;
  }

  get registration(): Registration | undefined {
    return this.#registration;
  }

  /** @throws CrpcError REGISTRY_UNREACHABLE */
  async enter(host: string, port: number): Promise<void> {
    const {
      registry,
      service,
      weight = 1,
      zone = '',
      version = '',
      metadata = {},
      load = {},
    } = this.#options;
    const name = this.#options.host ?? host;
    this.#registration = await registry.register(service, {
      id: this.#options.id ?? randomUUID(),
      address: `${name.includes(':') ? `[${name}]` : name}:${port}`,
      weight,
      zone,
      version,
      metadata,
      load,
    });
  }

  /** Deregisters and waits until callers know, at most `deadlineMs`: an unreachable registry delays nothing. */
  async leave(deadlineMs: number): Promise<void> {
    if (this.#registration === undefined) return;
    const end = performance.now() + deadlineMs;
    await within(deadlineMs, this.#registration.deregister());
    await within(Math.min(this.#options.settleMs ?? DEFAULT_SETTLE_MS, end - performance.now()));
  }

  /** Deregisters without waiting. */
  async close(): Promise<void> {
    await this.#registration?.deregister();
  }
}

/** Waits for a step, at most `ms`. */
async function within(ms: number, step: Promise<void> = new Promise(() => {})): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, Math.max(0, ms));
  });
  await Promise.race([step, late]);
  clearTimeout(timer);
}
