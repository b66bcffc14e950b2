/** The gRPC reflection service, which describes a server to tools such as grpcurl. For development only. */
import type { Server } from '@grpc/grpc-js';

/** The .proto files to describe. */
export interface ReflectionOptions {
  readonly protoFiles: readonly string[];
  /** Folders of their imports. */
  readonly includeDirs?: readonly string[];
}

/** Adds the service. Its modules are loaded here, as servers in production do not need them. */
export async function addReflection(server: Server, options: ReflectionOptions): Promise<void> {
  const { load } = await import('@grpc/proto-loader');
  const { ReflectionService } = await import('@grpc/reflection');
  const definition = await load([...options.protoFiles], { includeDirs: [...(options.includeDirs ?? [])] });
  new ReflectionService(definition).addToServer(server);
}
