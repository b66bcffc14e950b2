/** Types over the service definitions that ts-proto generates for grpc-js. */
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import type { CallContext } from './call-context.ts';

/** A generated service: its methods by name. */
export type Definition = ServiceDefinition;

// Method types differ in variance, so only inference through the codecs yields request and response.
export type RequestOf<M> = M extends { requestDeserialize: (bytes: Buffer) => infer R } ? R : never;
export type ResponseOf<M> = M extends { responseDeserialize: (bytes: Buffer) => infer R } ? R : never;

type InputOf<M> = M extends { requestStream: true } ? AsyncIterable<RequestOf<M>> : RequestOf<M>;

/** Handler of a method. */
export type Handler<M> = M extends { responseStream: true }
  ? (input: InputOf<M>, context: CallContext) => AsyncIterable<ResponseOf<M>>
  : (input: InputOf<M>, context: CallContext) => Promise<ResponseOf<M>>;

/** Handlers of a service. */
export type Handlers<D extends Definition> = { readonly [K in keyof D]: Handler<D[K]> };

/** A request, in which callers may omit fields. */
export type Input<M> = M extends { requestStream: true }
  ? AsyncIterable<RequestOf<M>> | Iterable<RequestOf<M>>
  : RequestOf<M>;

/** A method without its types. */
export type AnyMethod = MethodDefinition<unknown, unknown>;

/** Fields of ts-proto's generic definitions (`outputServices=generic-definitions`) that grpc-js's lack. */
export interface GenericDefinition {
  readonly fullName: string;
  readonly methods: Readonly<
    Record<string, { readonly name: string; readonly options: { readonly idempotencyLevel?: string } }>
  >;
}

const IDEMPOTENT = Symbol('idempotent');

/** Returns the service with its methods' `idempotency_level` from the .proto: such calls are retried. */
export function withIdempotency<D extends Definition>(definition: D, generic: GenericDefinition): D {
  const idempotent = new Set(
    Object.values(generic.methods)
      .filter(({ options }) => options.idempotencyLevel !== undefined)
      .map(({ name }) => `/${generic.fullName}/${name}`),
  );
  const methods = Object.entries(definition).map(([name, method]) => [
    name,
    { ...method, [IDEMPOTENT]: idempotent.has(method.path) },
  ]);
  return Object.fromEntries(methods) as D;
}

/** Returns whether the .proto declares a method safe to repeat. */
export function isIdempotent(method: AnyMethod): boolean {
  return (method as { [IDEMPOTENT]?: boolean })[IDEMPOTENT] ?? false;
}
