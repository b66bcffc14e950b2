/** What the users do: they write, join rooms, come and go; a seed decides who does what next. */
import { setTimeout as sleep } from 'node:timers/promises';
import { tcpTransport, type Token, webSocketTransport } from '../../client/mod.ts';
import type { Doors } from '../harness/gochat.ts';
import { Device, type Instance } from './device.ts';
import type { History } from './history.ts';
import { Random } from './random.ts';

export interface WorkloadOptions {
  readonly seed: number;
  /** This workload's users; no other one has any of them. */
  readonly users: readonly string[];
  /** Whom they write to. */
  readonly everyone: readonly string[];
  readonly doors: Doors;
  readonly rooms: number;
  readonly sendsPerSecond: number;
  /** Messages that a send is of. */
  readonly atOnce: number;
  readonly history: History;
}

/** What a member can see at the end. */
export interface Expectation {
  /** Last seq by conversation. */
  readonly heads: Readonly<Record<string, number>>;
  /** Conversations by user, each with the seq after which everything is visible. */
  readonly conversations: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

const BURST = [10, 60] as const;
const POLL_MS = 100;
const HISTORY_PAGE = 200;
/** A token as close to its end as this is replaced, ms: more than the client's own margin. */
const TOKEN_MARGIN_MS = 31_000;
const LOGIN_TIMEOUT_MS = 10_000;
const FILLER = ['', 'ok', 'grüße 👋', 'x'.repeat(300), 'wie geht es dir heute abend?'];

/** Everything but plain sends, by how often it is done in relation to the others. */
const DEEDS = [
  { name: 'burst', weight: 4 },
  { name: 'join', weight: 6 },
  { name: 'direct', weight: 8 },
  { name: 'close', weight: 5 },
  { name: 'crash', weight: 5 },
  { name: 'rival', weight: 2 },
  { name: 'leave', weight: 5 },
  { name: 'remove', weight: 4 },
  { name: 'delete', weight: 1 },
  { name: 'mark', weight: 8 },
  { name: 'history', weight: 4 },
  { name: 'pause', weight: 2 },
] as const;
const DEEDS_PER_SECOND = 1.5;

export class Workload {
  readonly #options: WorkloadOptions;
  readonly #random: Random;
  readonly #devices: Device[] = [];
  /** By user. */
  readonly #known = new Map<string, Set<string>>();
  /** Rooms that a user has made and may still own. */
  readonly #made = new Map<string, Set<string>>();
  readonly #under = new Set<Promise<unknown>>();
  #running = false;

  constructor(options: WorkloadOptions) {
    this.#options = options;
    this.#random = new Random(options.seed, `workload ${options.users.join()}`);
    for (const user of options.users) {
      this.#known.set(user, new Set());
      this.#made.set(user, new Set());
      const heads = new Map<string, number>();
      const getToken = tokenOf(options.doors, user);
      for (const [number, name] of this.#random
        .pick([['phone'], ['phone', 'desk'], ['phone', '', '']])
        .entries()) {
        const transport = this.#random.chance(0.4) ? webSocketTransport : tcpTransport;
        const device = {
          user,
          getToken,
          name,
          label: `${user}/${name}${number}`,
          doors: options.doors,
          transport: () => transport(),
          history: options.history,
          onConversation: (id: string) => this.#known.get(user)?.add(id),
          onLeft: (id: string) => this.#known.get(user)?.delete(id),
        };
        this.#devices.push(new Device(device, heads));
      }
    }
  }

  /** Starts every device; resolves when all are connected. */
  async start(): Promise<void> {
    await Promise.all(this.#devices.map((device) => device.start()));
    for (const device of this.#devices)
      if (device.named && device.current) await this.#join(device.current, device.user);
  }

  /** Works until `stop`. */
  async run(): Promise<void> {
    this.#running = true;
    const { sendsPerSecond } = this.#options;
    const rate = sendsPerSecond + DEEDS_PER_SECOND;
    let due = performance.now();
    while (this.#running) {
      due += (-Math.log(1 - this.#random.next()) * 1000) / rate;
      const wait = due - performance.now();
      if (wait > 1) await sleep(wait);
      // A process that was frozen does not make up for what it has missed.
      else if (wait < -1000) due = performance.now();
      if (this.#random.chance(DEEDS_PER_SECOND / rate)) this.#do(this.#random.weighted(DEEDS).name);
      else this.#send(this.#options.atOnce);
    }
  }

  /** Ends the work and waits until what was begun is over: each send has its answer, each device lives. */
  async stop(deadlineMs: number): Promise<void> {
    this.#running = false;
    const end = performance.now() + deadlineMs;
    await Promise.race([Promise.all(this.#under), sleep(deadlineMs)]);
    for (const device of this.#devices) {
      if (device.live.length === 0)
        await Promise.race([device.start(), sleep(Math.max(0, end - performance.now()))]);
    }
    await this.#until(end, () => this.#live().every(({ client }) => client.pendingSends === 0));
  }

  /** Waits until every client has been shown all that it may see; what it lacks is noted. Returns the live clients. */
  async converge(expected: Expectation, deadlineMs: number): Promise<number> {
    const end = performance.now() + deadlineMs;
    const lacks = ({ user, live }: Device) =>
      live.flatMap((instance) => {
        const what = lack(instance, expected, expected.conversations[user] ?? {});
        return what === undefined ? [] : [{ instance, what }];
      });
    await this.#until(end, () =>
      this.#devices.every(
        (device) => lacks(device).length === 0 && (!device.named || device.live.length === 1),
      ),
    );
    for (const device of this.#devices) {
      for (const { instance, what } of lacks(device)) instance.stuck(`lacks ${what}`);
      if (device.named && device.live.length !== 1)
        for (const instance of device.live)
          instance.stuck(`is one of ${device.live.length} clients of its device`);
    }
    return this.#live().length;
  }

  /** Reads every conversation of every user from its end to its beginning. */
  async views(expected: Expectation): Promise<void> {
    const { history } = this.#options;
    for (const device of this.#devices) {
      const { user, current, live } = device;
      const client = (current ?? live[0])?.client;
      if (client === undefined || !device.named) continue;
      if (this.#devices.find((other) => other.user === user && other.named) !== device) continue;
      for (const conversation of Object.keys(expected.conversations[user] ?? {})) {
        for (let beforeSeq = 0, more = true; more; ) {
          const page = await client.history(conversation, { beforeSeq, limit: HISTORY_PAGE });
          for (const { seq, id, text } of page.messages)
            history.write({ kind: 'view', user, conversation, seq, id, text });
          more = page.more;
          beforeSeq = page.messages[0]?.seq ?? 0;
        }
      }
    }
  }

  /** Leaves everything as it is, for the process to end. */
  halt(): void {
    for (const device of this.#devices) device.stop();
  }

  #live(): Instance[] {
    return this.#devices.flatMap((device) => device.live);
  }

  #send(count: number): void {
    const device = this.#random.pick(this.#devices);
    const known = [...(this.#known.get(device.user) ?? [])];
    if (device.current === undefined || known.length === 0) return;
    const conversation = this.#random.pick(known);
    for (let i = 0; i < count; i++) device.current.send(conversation, this.#random.pick(FILLER));
  }

  #do(deed: (typeof DEEDS)[number]['name']): void {
    const device = this.#random.pick(this.#devices);
    const { user, current } = device;
    const pauseMs = this.#random.between(0, 3000);
    if (deed === 'burst') this.#send(this.#random.between(...BURST));
    // One of these at a time: a device whose clients come and go is left alone until it is settled.
    else if (current === undefined) return;
    else if (deed === 'close') this.#begin(device.restart('closed', pauseMs));
    else if (deed === 'crash') this.#begin(device.restart('crashed', pauseMs));
    else if (deed === 'rival') this.#begin(device.named ? device.start() : device.restart('closed', 0));
    else if (deed === 'join') this.#begin(this.#join(current, user));
    else if (deed === 'direct') {
      const peer = this.#random.pick(this.#options.everyone);
      this.#begin(this.#open(current, user, 'direct', () => current.client.openDirect(peer)));
    } else if (deed === 'pause') {
      current.client.pause();
      this.#begin(sleep(pauseMs).then(() => current.client.resume()));
    } else this.#doIn(deed, current, user);
  }

  /** What is done in a conversation that the user knows of. */
  #doIn(deed: 'leave' | 'remove' | 'delete' | 'mark' | 'history', instance: Instance, user: string): void {
    const { client } = instance;
    const own = deed === 'remove' || deed === 'delete';
    const ids = [...((own ? this.#made : this.#known).get(user) ?? [])].filter(
      (id) => deed !== 'leave' || client.conversation(id)?.kind === 'room',
    );
    const peer = this.#random.pick(this.#options.everyone);
    if (ids.length === 0) return;
    const id = this.#random.pick(ids);
    const call = (work: () => Promise<unknown>) => this.#begin(instance.call(deed, id, work));
    if (deed === 'mark') instance.mark(id);
    else if (deed === 'history') call(() => client.history(id));
    else if (deed === 'leave') call(() => client.leaveRoom(id));
    else if (deed === 'remove') call(() => client.removeMember(id, peer));
    else {
      this.#made.get(user)?.delete(id);
      call(() => client.deleteRoom(id));
    }
  }

  #begin(work: Promise<unknown>): void {
    this.#under.add(work);
    void work.finally(() => this.#under.delete(work));
  }

  async #join(instance: Instance, user: string): Promise<void> {
    const room = `room-${this.#random.between(1, this.#options.rooms)}`;
    const hideHistory = this.#random.chance(0.5);
    const { client } = instance;
    if ((await this.#open(instance, user, 'join', () => client.joinRoom(room))) !== undefined) return;
    const made = await this.#open(instance, user, 'create', () => client.createRoom(room, { hideHistory }));
    if (made !== undefined) this.#made.get(user)?.add(made);
  }

  async #open(
    instance: Instance,
    user: string,
    call: string,
    work: () => Promise<{ readonly id: string }>,
  ): Promise<string | undefined> {
    const conversation = await instance.call(call, '', work);
    if (conversation !== undefined) this.#known.get(user)?.add(conversation.id);
    return conversation?.id;
  }

  async #until(end: number, done: () => boolean): Promise<void> {
    while (!done() && performance.now() < end) await sleep(POLL_MS);
  }
}

/** Returns what a client still has to be shown, told or acknowledged. */
function lack(
  instance: Instance,
  { heads }: Expectation,
  conversations: Readonly<Record<string, number>>,
): string | undefined {
  for (const [id, after] of Object.entries(conversations)) {
    const end = heads[id] ?? 0;
    const head = Math.max(after, instance.head(id));
    if (head < end) return `${id} up to ${end}: it has come to ${head}`;
  }
  for (const id of instance.open) if (!(id in conversations)) return `that it is out of ${id}`;
  if (!instance.synced) return 'a synchronisation since it connected';
  const { pendingSends } = instance.client;
  return pendingSends > 0 ? `${pendingSends} answers` : undefined;
}

/** A token of the user, shared by its devices as long as it is good: logging in is made slow on purpose. */
function tokenOf(doors: Doors, user: string): () => Promise<Token> {
  let held: Promise<Token> | undefined;
  return async () => {
    const known = await held?.catch(() => undefined);
    if (known !== undefined && (known.expiresAtMs ?? 0) - Date.now() > TOKEN_MARGIN_MS) return known;
    held = login(doors, user);
    return await held;
  };
}

async function login({ api }: Doors, name: string): Promise<Token> {
  const response = await fetch(`${api}/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name, password: `${name}-secret` }),
    signal: AbortSignal.timeout(LOGIN_TIMEOUT_MS),
  });
  if (!response.ok) throw new Error(`login of ${name}: ${response.status}`);
  const { token, expires_at_ms } = (await response.json()) as { token: string; expires_at_ms: number };
  return { token, expiresAtMs: expires_at_ms };
}
