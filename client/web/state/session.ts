/** Who is signed in on this page, and the client and the model that follow from it. */
import { signal } from '@preact/signals';
import {
  ClientError,
  type Gateway,
  GochatClient,
  type GochatClientOptions,
  signUp,
  webSocketTransport,
} from '../../sdk/mod.ts';
import { indexedDbStorage, type TabClient, tabClient } from '../../browser/mod.ts';
import { Model } from '../../model/mod.ts';
import { pageFacts } from './page-facts.ts';
import { t } from './texts.ts';

export interface SignedIn {
  readonly stage: 'in';
  readonly client: TabClient;
  readonly model: Model;
}

export type Session =
  | { readonly stage: 'starting' }
  | { readonly stage: 'out'; readonly notice: string | undefined }
  | SignedIn;

/** Whether somebody was signed in here, so that there may be a cookie. */
const KEY = 'gochat-signed-in';
/** Of the lock, the channel and the database of this page. */
const NAME = 'gochat';
const RESUMED = { cookie: true, firstConnectMs: Infinity } as const;
/** Entries of a conversation that come after an absence; more are fetched where one reads. */
const CATCH_UP = 200;

export const session = signal<Session>({ stage: 'starting' });

/** Goes on with the session that the browser has a cookie of. */
export function resume(): void {
  if (localStorage.getItem(KEY) === null) session.value = { stage: 'out', notice: undefined };
  else void begin(RESUMED).catch(() => undefined);
}

/** One signs in on another page, and comes back with a cookie. */
export function expectReturn(): void {
  localStorage.setItem(KEY, '1');
}

/** Rejects with a ClientError. */
export async function signIn(user: string, password: string): Promise<void> {
  await begin({ user, password });
}

/** Makes an account and signs in. Rejects with a ClientError. */
export async function createAccount(name: string, password: string, displayName: string): Promise<void> {
  await signUp({ api: location.origin, name, password });
  const client = await begin({ user: name, password });
  if (displayName !== '') await client.setDisplayName(displayName);
}

export async function signOut(everywhere = false): Promise<void> {
  const { value } = session;
  if (value.stage !== 'in') return;
  // Without a connection the session ends at its expiry.
  await value.client.logout({ everywhere }).catch(() => undefined);
  leave(value, undefined);
}

async function begin(options: Partial<GochatClientOptions>): Promise<TabClient> {
  const isResumed = options.cookie === true;
  let first: Partial<GochatClientOptions> = options;
  const facts = await pageFacts();
  const client = tabClient({
    name: NAME,
    make: () => {
      const made = new GochatClient({
        api: location.origin,
        ...(facts.gateways ? { ipconf: location.origin } : { gateways: [ownGateway()] }),
        transport: webSocketTransport(),
        storage: indexedDbStorage(NAME),
        client: 'gochat-web',
        catchUp: CATCH_UP,
        ...first,
      });
      // The password is used once.
      first = RESUMED;
      return made;
    },
  });
  const signedIn: SignedIn = { stage: 'in', client, model: new Model(client) };
  client.on('disconnected', ({ retryInMs, reason }) => {
    if (retryInMs === undefined) leave(signedIn, reason === '' ? undefined : reason);
  });
  // A page that goes on with a session shows itself before it is connected.
  if (isResumed) session.value = signedIn;
  try {
    await client.connect();
  } catch (error) {
    if (isResumed) leave(signedIn, t().signedOut);
    else signedIn.client.close();
    throw ClientError.from(error);
  }
  localStorage.setItem(KEY, '1');
  session.value = signedIn;
  return client;
}

function leave(from: SignedIn, notice: string | undefined): void {
  from.model.close();
  from.client.close();
  if (session.value !== from) return;
  localStorage.removeItem(KEY);
  session.value = { stage: 'out', notice };
}

/** api passes `/ws` of its own port on to a gateway. */
function ownGateway(): Gateway {
  const { hostname, port, protocol } = location;
  const tls = protocol === 'https:';
  return {
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    port: 0,
    wsPort: Number(port) || (tls ? 443 : 80),
    tls,
  };
}

addEventListener('online', () => {
  if (session.value.stage === 'in') session.value.client.reconnect();
});

// Another tab has signed in.
addEventListener('storage', ({ key, newValue }) => {
  if (key === KEY && newValue !== null && session.value.stage === 'out') resume();
});
