/** Gateways for tests: registered in a memory registry of their own. */
import { randomUUID } from 'node:crypto';
import { MemoryRegistry, type Endpoint } from '../../crpc/mod.ts';

export function memoryRegistry(): MemoryRegistry {
  return new MemoryRegistry(`memory://${randomUUID()}`);
}

/** Returns an endpoint as a gateway registers it. */
export function gatewayEndpoint(name: string, change: Partial<Endpoint> = {}): Endpoint {
  const number = Number(/\d+$/.exec(name)?.[0] ?? 1);
  return {
    id: `${name}-${randomUUID()}`,
    address: `10.0.${number >> 8}.${number & 255}:8900`,
    weight: 1,
    zone: '',
    version: '0.1.0',
    metadata: { name, ws_port: '8901' },
    load: { connections: 0, max_connections: 1000 },
    ...change,
  };
}
