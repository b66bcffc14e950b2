/** The gRPC reflection service, which describes a server to tools such as grpcurl. For development only. */
import type { Server } from '@grpc/grpc-js';

/** The .proto files that reflection tells of. */
export interface ReflectionOptions {
  readonly protoFiles: readonly string[];
  /** Folders that their imports are looked up in. */
  readonly includeDirs?: readonly string[];
}

/** Adds the service; what it needs is loaded here, as a server in production does without. */
export async function addReflection(server: Server, options: ReflectionOptions): Promise<void> {
  const { load } = await import('@grpc/proto-loader');
  const { ReflectionService } = await import('@grpc/reflection');
  const definition = await load([...options.protoFiles], { includeDirs: [...(options.includeDirs ?? [])] });
  new ReflectionService(definition).addToServer(server);
}
