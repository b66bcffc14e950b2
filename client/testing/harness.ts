/** Helpers of the client's tests: a client on fakes, and waiting for its events with a deadline. */
import { onTestFinished } from 'vitest';
import { within } from '../../test/harness/eventually.ts';
import type { ClientEvent, ClientEventOf, GochatClientOptions } from '../sdk/mod.ts';
import { GochatClient } from '../sdk/mod.ts';
import { tcpTransport } from '../transport-tcp.ts';
import { FakeDirectory } from './fake-directory.ts';
import { FakeGateway } from './fake-gateway.ts';

export interface World {
  readonly gateway: FakeGateway;
  readonly directory: FakeDirectory;
  readonly alice: bigint;
  readonly bob: bigint;
  readonly room: bigint;
}

/** Starts a gateway with alice and bob in one room; it ends with the test. */
export async function makeWorld(): Promise<World> {
  const gateway = await new FakeGateway().start();
  onTestFinished(() => gateway[Symbol.asyncDispose]());
  const alice = gateway.chat.addUser('alice');
  const bob = gateway.chat.addUser('bob');
  const room = gateway.chat.addRoom('lobby', alice, bob);
  return { gateway, directory: new FakeDirectory(gateway), alice, bob, room };
}

/** Makes alice's client with short waits, which gets what was before its time; it is closed with the test. */
export function makeClient(world: World, options: Partial<GochatClientOptions> = {}): GochatClient {
  const client = new GochatClient({
    api: 'http://api.test',
    ipconf: 'http://ipconf.test',
    user: 'alice',
    password: 'secret',
    transport: tcpTransport(),
    fetch: world.directory.fetch,
    backoff: { baseMs: 1, maxMs: 5 },
    receiptDelayMs: 1,
    gapDelayMs: 1,
    newDevice: 1000,
    ...options,
  });
  onTestFinished(() => client.close());
  return client;
}

/** Collects a client's events from now on. */
export function collect(client: GochatClient): ClientEvent[] {
  const events: ClientEvent[] = [];
  onTestFinished(client.onAny((event) => events.push(event)));
  return events;
}

/** Resolves with the next event of a type that `accept` takes. */
export function next<Type extends ClientEvent['type']>(
  client: GochatClient,
  type: Type,
  accept: (event: ClientEventOf<Type>) => boolean = () => true,
): Promise<ClientEventOf<Type>> {
  const { promise, resolve } = Promise.withResolvers<ClientEventOf<Type>>();
  const stop = client.on(type, (event) => {
    if (!accept(event)) return;
    stop();
    resolve(event);
  });
  return within(`event ${type}`, promise);
}
