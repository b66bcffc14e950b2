/** The gRPC health service (grpc.health.v1): SERVING from start, NOT_SERVING from drain. Probes need no token. */
import type { ServerWritableStream } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';

type WatchCall = ServerWritableStream<unknown, unknown>;

/** What `HealthImplementation` adds itself to. */
interface ServiceHost {
  addService(definition: unknown, implementation: unknown): void;
}

/** Health of a server (the empty name) and of each of its services. */
export class HealthService {
  readonly #health = new HealthImplementation();
  readonly #names = new Set(['']);
  readonly #watches = new Set<WatchCall>();

  /** Adds a service by its full name; unknown names are answered with NOT_FOUND. */
  add(name: string): void {
    this.#names.add(name);
    this.#health.setStatus(name, 'NOT_SERVING');
  }

  addTo(server: ServiceHost): void {
    const host: ServiceHost = {
      // Its watches have no end, and a drain would wait for them.
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
    for (const name of this.#names) this.#health.setStatus(name, 'SERVING');
  }

  /** Tells those who watch, and ends their calls. */
  draining(): void {
    for (const name of this.#names) this.#health.setStatus(name, 'NOT_SERVING');
    for (const call of this.#watches) call.end();
    this.#watches.clear();
  }
}
