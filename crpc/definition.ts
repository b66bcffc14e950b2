/** Types over the service definitions that ts-proto generates for grpc-js. */
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import type { CallContext } from './call-context.ts';

/** A generated service: its methods by name. */
export type Definition = ServiceDefinition;

// The methods' types differ in variance, so only inference through the codecs gets request and response out.
export type RequestOf<M> = M extends { requestDeserialize: (bytes: Buffer) => infer R } ? R : never;
export type ResponseOf<M> = M extends { responseDeserialize: (bytes: Buffer) => infer R } ? R : never;

type InputOf<M> = M extends { requestStream: true } ? AsyncIterable<RequestOf<M>> : RequestOf<M>;

/** How a server answers a method. */
export type Handler<M> = M extends { responseStream: true }
  ? (input: InputOf<M>, context: CallContext) => AsyncIterable<ResponseOf<M>>
  : (input: InputOf<M>, context: CallContext) => Promise<ResponseOf<M>>;

/** How a server answers a service. */
export type Handlers<D extends Definition> = { readonly [K in keyof D]: Handler<D[K]> };

/** A request that a caller may give in part. */
export type Input<M> = M extends { requestStream: true }
  ? AsyncIterable<RequestOf<M>> | Iterable<RequestOf<M>>
  : RequestOf<M>;

/** A method whose types are not known any more. */
export type AnyMethod = MethodDefinition<unknown, unknown>;
