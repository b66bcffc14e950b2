/** The gRPC health service (grpc.health.v1): SERVING from start, NOT_SERVING from drain. Probes need no token. */
import type { ServerWritableStream } from '@grpc/grpc-js';
import type { HealthImplementation } from 'grpc-health-check';

type WatchCall = ServerWritableStream<unknown, unknown>;

/** The interface that `HealthImplementation` registers with. */
interface ServiceHost {
  addService(definition: unknown, implementation: unknown): void;
}

/** Health of a server (the empty name) and of each of its services. */
export class HealthService {
  #health: HealthImplementation | undefined;
  readonly #names = new Set(['']);
  readonly #watches = new Set<WatchCall>();

  /** Adds a service by its full name; unknown names get NOT_FOUND. */
  add(name: string): void {
    this.#names.add(name);
    this.#health?.setStatus(name, 'NOT_SERVING');
  }

  async addTo(server: ServiceHost): Promise<void> {
    // Loaded on demand: clients do not need it.
    const { HealthImplementation } = await import('grpc-health-check');
    this.#health = new HealthImplementation();
    this.#setAll('NOT_SERVING');
    const host: ServiceHost = {
      // Its watches never end, and a drain would wait for them.
      addService: (definition, implementation) => {
        const { watch } = implementation as { watch: (call: WatchCall) => void };
        server.addService(definition, {
          ...(implementation as object),
          watch: (call: WatchCall) => {
            this.#watches.add(call);
            call.on('cancelled', () => this.#watches.delete(call));
            watch(call);
          },
        });
      },
    };
    this.#health.addToServer(host);
  }

  serving(): void {
    this.#setAll('SERVING');
  }

  /** Notifies watchers and ends their calls. */
  draining(): void {
    this.#setAll('NOT_SERVING');
    for (const call of this.#watches) call.end();
    this.#watches.clear();
  }

  #setAll(status: 'SERVING' | 'NOT_SERVING'): void {
    for (const name of this.#names) this.#health?.setStatus(name, status);
  }
}
