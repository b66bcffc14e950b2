/** One device of a user: a client that lives, crashes and comes again, and the record of what it was shown. */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  ClientError,
  type ClientEvent,
  GochatClient,
  type Token,
  type Transport,
  type TransportFactory,
} from '../../client/mod.ts';
import type { Doors } from '../harness/gochat.ts';
import type { Happening, History } from './history.ts';

/** Before a client that could not log in is made anew. */
const AGAIN_MS = 500;

export interface DeviceOptions {
  readonly user: string;
  /** Gives a token that is good for a while. */
  readonly getToken: () => Promise<Token>;
  /** '' for an unnamed one. */
  readonly name: string;
  /** Tells devices apart in the history that have the same name, or none. */
  readonly label: string;
  readonly doors: Doors;
  readonly transport: () => TransportFactory;
  readonly history: History;
  /** The user has heard of a conversation. */
  readonly onConversation: (id: string) => void;
  /** The user was told that it is out of one. */
  readonly onLeft: (id: string) => void;
}

/** A client in its connections' ups and downs, until it is closed, crashes or gives up. */
export class Instance {
  readonly name: string;
  readonly client: GochatClient;
  readonly #history: History;
  readonly #kill: () => void;
  /** Texts by the number of the send, which ends the client_msg_id. */
  readonly #texts = new Map<number, { conversation: string; text: string }>();
  #sends = 0;
  /** Highest seq shown to it, by conversation. */
  readonly #heads = new Map<string, number>();
  /** Highest seq shown to any client of the user. */
  readonly #userHeads: Map<string, number>;
  /** Conversations that it was shown messages of, until it was told that its user is out. */
  readonly #open = new Set<string>();
  live = true;
  /** It was connected once. */
  ready = false;
  /** Connected, and the log was read to its end since. */
  synced = false;

  constructor(name: string, userHeads: Map<string, number>, options: DeviceOptions) {
    const { user, getToken, name: device, doors, history } = options;
    this.name = name;
    this.#userHeads = userHeads;
    this.#history = history;
    const { factory, kill } = mortal(options.transport());
    this.#kill = kill;
    this.client = new GochatClient({
      ipconf: doors.ipconf,
      getToken,
      device,
      transport: factory,
      joinBacklog: 1e9,
    });
    this.#write({ kind: 'start', user, device });
    this.client.onAny((event) => this.#onEvent(event, options));
  }

  send(conversation: string, filler: string): void {
    const number = ++this.#sends;
    const text = `${this.name} ${number} ${filler}`;
    this.#texts.set(number, { conversation, text });
    this.#write({ kind: 'send', conversation, text });
    void this.client.send(conversation, text);
  }

  async end(why: 'closed' | 'crashed'): Promise<void> {
    if (!this.live) return;
    this.#dead(why, '');
    if (why === 'crashed') this.#kill();
    await this.client.close();
  }

  /** Makes a call and notes how it went; undefined when it failed. */
  async call<T>(call: string, conversation: string, work: () => Promise<T>): Promise<T | undefined> {
    try {
      const result = await work();
      this.#write({ kind: 'call', call, conversation, code: '' });
      return result;
    } catch (error) {
      this.#write({ kind: 'call', call, conversation, code: ClientError.from(error).code });
      return undefined;
    }
  }

  /** Tells the server that the user has read what this client was shown. */
  mark(conversation: string): void {
    const seq = this.#heads.get(conversation);
    if (seq === undefined) return;
    this.#write({ kind: 'marked', conversation, seq });
    this.client.markRead(conversation, seq);
  }

  /** Conversations that it takes its user to be in. */
  get open(): ReadonlySet<string> {
    return this.#open;
  }

  stuck(what: string): void {
    this.#write({ kind: 'stuck', what });
  }

  #dead(why: 'closed' | 'crashed' | 'ended', code: string): void {
    this.live = false;
    this.synced = false;
    this.#write({ kind: 'end', why, code });
  }

  #onEvent(event: ClientEvent, { onConversation, onLeft }: DeviceOptions): void {
    // Nobody looks at a client that was closed; what it still hears of its sends counts.
    if (!this.live && event.type !== 'failed') return;
    switch (event.type) {
      case 'connected':
        this.ready = true;
        this.synced = false;
        this.#write({ kind: 'up', gateway: event.gateway, resumed: event.resumed });
        break;
      case 'disconnected':
        this.synced = false;
        this.#write({ kind: 'down', code: event.code });
        if (event.retryInMs === undefined && this.live) this.#dead('ended', event.code);
        break;
      case 'synced':
        this.synced = true;
        break;
      case 'message': {
        const { conversation, seq, id, from, text } = event;
        this.#shown(conversation, seq);
        this.#open.add(conversation);
        this.#write({ kind: 'message', conversation, seq, id, from, text });
        onConversation(conversation);
        break;
      }
      case 'sent': {
        const { conversation, seq, id } = event;
        this.#shown(conversation, seq);
        this.#write({ kind: 'acked', conversation, text: this.#take(event.clientMsgId), seq, id });
        break;
      }
      case 'failed': {
        const { conversation, code } = event;
        this.#write({ kind: 'failed', conversation, text: this.#take(event.clientMsgId), code });
        break;
      }
      case 'left': {
        const { conversation, reason } = event;
        this.#open.delete(conversation);
        this.#write({ kind: 'left', conversation, reason });
        onLeft(conversation);
        break;
      }
      case 'error':
        this.#write({ kind: 'call', call: 'sync', conversation: '', code: event.code });
        break;
    }
  }

  /** How far it has come; where nothing was shown to it, it goes on where others had come to. */
  head(conversation: string): number {
    return this.#heads.get(conversation) ?? this.#userHeads.get(conversation) ?? 0;
  }

  #shown(conversation: string, seq: number): void {
    for (const heads of [this.#heads, this.#userHeads])
      if (seq > (heads.get(conversation) ?? 0)) heads.set(conversation, seq);
  }

  #take(clientMsgId: string): string {
    const number = Number(clientMsgId.slice(clientMsgId.lastIndexOf('-') + 1));
    const send = this.#texts.get(number);
    this.#texts.delete(number);
    return send?.text ?? `an answer to no send of ${this.name}: ${clientMsgId}`;
  }

  #write(happening: DistributiveOmit<Extract<Happening, { instance: string }>, 'instance'>): void {
    this.#history.write({ instance: this.name, ...happening });
  }
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

export class Device {
  readonly #options: DeviceOptions;
  /** Shared by the devices of a user: a cursor on the server may be another one's. */
  readonly #heads: Map<string, number>;
  #instances: Instance[] = [];
  #count = 0;
  #stopped = false;

  constructor(options: DeviceOptions, heads: Map<string, number>) {
    this.#options = options;
    this.#heads = heads;
  }

  get user(): string {
    return this.#options.user;
  }

  get named(): boolean {
    return this.#options.name !== '';
  }

  get live(): readonly Instance[] {
    return this.#instances.filter((instance) => instance.live);
  }

  /** The client that was started last, if it lives and was connected. */
  get current(): Instance | undefined {
    const last = this.#instances.at(-1);
    return last?.live === true && last.ready ? last : undefined;
  }

  /** Starts one more client; a second one on a named device puts the first one out. */
  async start(): Promise<void> {
    while (!this.#stopped) {
      const name = `${this.#options.label}#${++this.#count}`;
      const instance = new Instance(name, this.#heads, this.#options);
      this.#instances = [...this.live, instance];
      try {
        await instance.client.connect();
        return;
      } catch {
        // The first connection is not retried by the client, whatever is away.
        await instance.end('closed');
        await sleep(AGAIN_MS);
      }
    }
  }

  async restart(why: 'closed' | 'crashed', pauseMs: number): Promise<void> {
    await Promise.all(this.live.map((instance) => instance.end(why)));
    await sleep(pauseMs);
    await this.start();
  }

  stop(): void {
    this.#stopped = true;
  }
}

/** A transport whose connections can be cut off without a word, as when the client's machine loses power. */
function mortal(inner: TransportFactory): { factory: TransportFactory; kill: () => void } {
  let dead = false;
  const open = new Set<Transport>();
  const factory: TransportFactory = {
    kind: inner.kind,
    address: (gateway) => inner.address(gateway),
    open: (gateway, handlers) => {
      const transport = inner.open(gateway, {
        onOpen: () => handlers.onOpen(),
        onData: (chunk) => {
          if (!dead) handlers.onData(chunk);
        },
        onClose: (reason) => {
          open.delete(transport);
          handlers.onClose(reason);
        },
      });
      open.add(transport);
      return {
        send: (bytes) => {
          if (!dead) transport.send(bytes);
        },
        close: () => transport.close(),
        destroy: () => transport.destroy(),
        pause: () => transport.pause?.(),
        resume: () => transport.resume?.(),
      };
    },
  };
  const kill = () => {
    dead = true;
    for (const transport of open) transport.destroy();
  };
  return { factory, kill };
}
