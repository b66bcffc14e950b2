/** `Call` for outsiders: any gRPC client, with the .proto files and a bearer token. docs/crpc.md says how. */
import { join } from 'node:path';
import { credentials, type Client, loadPackageDefinition, Metadata, type ServiceError } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { freshDatabase, sharedEngines } from '../harness/cluster.ts';
import { ROOT, startServer } from '../harness/gochat.ts';

type Service = Client & Record<string, (input: object, metadata: Metadata, done: Done) => void>;
// oxlint-disable-next-line typescript/no-explicit-any -- answers have many shapes.
type Done = (error: ServiceError | null, answer: any) => void;

const TOKEN = 'the secret of the cluster';
const cleanup = new AsyncDisposableStack();
afterAll(() => cleanup.disposeAsync());

let chat: Service;
let accounts: Service;
beforeAll(async () => {
  const engines = sharedEngines();
  const database = cleanup.use(await freshDatabase(engines.postgres));
  const state = cleanup.use(
    await startServer('state', {
      GOCHAT_REGISTRY: `${engines.etcd}/test-grpc-${process.pid}`,
      GOCHAT_STORE: database.url,
      GOCHAT_HOT: engines.redis,
      GOCHAT_CLUSTER_TOKEN: TOKEN,
    }),
  );
  const folder = join(ROOT, 'proto');
  const loaded = loadSync(join(folder, 'gochat/state/v1/state.proto'), {
    includeDirs: [folder],
    longs: String,
    keepCase: true,
    oneofs: true,
    enums: String,
  });
  // oxlint-disable-next-line typescript/no-explicit-any -- the shape follows from the file.
  const { ChatService, AccountService } = (loadPackageDefinition(loaded) as any).gochat.state.v1;
  const address = state.up['crpc'];
  chat = new ChatService(address, credentials.createInsecure()) as Service;
  accounts = new AccountService(address, credentials.createInsecure()) as Service;
  cleanup.defer(() => {
    chat.close();
    accounts.close();
  });
});

function ask(service: Service, method: string, input: object, headers: Record<string, string>) {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  // oxlint-disable-next-line typescript/no-explicit-any -- answers have many shapes.
  return new Promise<any>((resolve, reject) =>
    service[method]?.(input, metadata, (error, answer) => (error === null ? resolve(answer) : reject(error))),
  );
}

test('an account, a room, a message and the history, by a client that knows the .proto files alone', async () => {
  const cluster = { 'crpc-token': TOKEN };
  const account = { name: 'ann', password: 'ann-secret', address: '192.0.2.1' };
  await ask(accounts, 'Signup', account, cluster);
  const { token } = await ask(accounts, 'Login', account, cluster);
  const headers = { ...cluster, authorization: `Bearer ${token}` };
  const made = await ask(chat, 'Call', { request: { create_room: { name: 'lobby' } } }, headers);
  const key = made.conversation.id as string;
  expect(made).toMatchObject({ result: 'conversation', conversation: { name: 'lobby', role: 'ROLE_OWNER' } });
  const sent = await ask(chat, 'Post', { key, send: { client_msg_id: 'a', text: 'hi' } }, headers);
  const page = await ask(chat, 'Call', { key, request: { get_history: { limit: 1 } } }, headers);
  expect(page.history.messages).toMatchObject([{ seq: sent.seq, text: 'hi', from: 'ann' }]);
  // What another may not see is refused by its code, which errors.md lists.
  await expect(ask(chat, 'Call', { key: '5', request: { get_history: {} } }, headers)).rejects.toMatchObject({
    code: 5,
  });
});

test.each([
  ['without a bearer token', { 'crpc-token': TOKEN }],
  ['with another one', { 'crpc-token': TOKEN, authorization: 'Bearer x' }],
  ['without the token of the cluster', { authorization: 'Bearer x' }],
])('%s: UNAUTHENTICATED', async (_, headers) => {
  const asked = ask(chat, 'Call', { request: { list_rooms: {} } }, headers);
  await expect(asked).rejects.toMatchObject({ code: 16 });
});
