/** The users' workload: writing, joining, connecting and leaving, drawn by a seed. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type HistoryOptions, tcpTransport, webSocketTransport } from '../../client/mod.ts';
import type { SystemUrls } from '../harness/gochat.ts';
import { type About, Device, type Instance, recorded } from './device.ts';
import type { History } from './history.ts';
import { Random } from './random.ts';
import { Tokens } from './tokens.ts';

export interface WorkloadOptions {
  readonly seed: number;
  /** This workload's users; no other one has any of them. */
  readonly users: readonly string[];
  /** Their conversations. */
  readonly everyone: readonly string[];
  readonly urls: SystemUrls;
  /** URLs of state nodes' admin ports. */
  readonly admins: readonly string[];
  readonly rooms: number;
  /** Share of the rooms that hide from who joins what was before. */
  readonly hiddenRooms: number;
  readonly sendsPerSecond: number;
  /** Messages per send. */
  readonly atOnce: number;
  readonly deedsPerSecond: number;
  /** Relative frequencies that differ from those of DEEDS. */
  readonly deeds: DeedWeights;
  readonly history: History;
}

/** The view of a member at the end. */
export interface Expectation {
  /** Last seq by conversation. */
  readonly heads: Readonly<Record<string, number>>;
  /** Conversations by user, each with the seq after which everything is visible. */
  readonly conversations: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

const BURST = [10, 60] as const;
const POLL_MS = 100;
const HISTORY_PAGE = 200;
const ORDER_TIMEOUT_MS = 5000;
const FILLER = ['', 'ok', 'grüße 👋', 'x'.repeat(300), 'wie geht es dir heute abend?'];

/** Actions other than plain sends, by relative frequency. */
const DEEDS = [
  { name: 'burst', weight: 4 },
  { name: 'reply', weight: 12 },
  { name: 'edit', weight: 16 },
  { name: 'retract', weight: 12 },
  { name: 'purge', weight: 1 },
  { name: 'pin', weight: 4 },
  { name: 'unpin', weight: 2 },
  { name: 'join', weight: 12 },
  { name: 'direct', weight: 8 },
  { name: 'close', weight: 5 },
  { name: 'crash', weight: 5 },
  { name: 'rival', weight: 2 },
  { name: 'leave', weight: 12 },
  { name: 'remove', weight: 4 },
  { name: 'role', weight: 4 },
  { name: 'delete', weight: 1 },
  { name: 'mark', weight: 8 },
  { name: 'history', weight: 8 },
  { name: 'pause', weight: 2 },
  { name: 'kick', weight: 1 },
  { name: 'revoke', weight: 1 },
  { name: 'logout', weight: 1 },
] as const;
type DeedName = (typeof DEEDS)[number]['name'];
export type DeedWeights = Readonly<Partial<Record<DeedName, number>>>;
const ABOUTS: ReadonlySet<string> = new Set<About>(['reply', 'edit', 'retract', 'purge', 'pin', 'unpin']);
const ROLES = ['owner', 'moderator', 'member'] as const;

export class Workload {
  readonly #options: WorkloadOptions;
  readonly #deeds: readonly { readonly name: DeedName; readonly weight: number }[];
  readonly #random: Random;
  readonly #devices: Device[] = [];
  /** By user. */
  readonly #tokens = new Map<string, Tokens>();
  /** By user: conversations that it believes to be in. */
  readonly #known = new Map<string, Set<string>>();
  /** By user: conversations that it was ever in. */
  readonly #heard = new Map<string, Set<string>>();
  /** Rooms that a user has created and may still own. */
  readonly #made = new Map<string, Set<string>>();
  readonly #under = new Set<Promise<unknown>>();
  #running = false;

  constructor(options: WorkloadOptions) {
    this.#options = options;
    this.#deeds = DEEDS.map(({ name, weight }) => ({ name, weight: options.deeds[name] ?? weight }));
    this.#random = new Random(options.seed, `workload ${options.users.join()}`);
    for (const user of options.users) {
      this.#known.set(user, new Set());
      this.#heard.set(user, new Set());
      this.#made.set(user, new Set());
      const heads = new Map<string, number>();
      const tokens = new Tokens(options.urls, user);
      this.#tokens.set(user, tokens);
      for (const [number, name] of this.#random
        .pick([['phone'], ['phone', 'desk'], ['phone', '', '']])
        .entries()) {
        const transport = this.#random.chance(0.4) ? webSocketTransport : tcpTransport;
        const device: Device = new Device(
          {
            user,
            tokens,
            name,
            label: `${user}/${name}${number}`,
            urls: options.urls,
            transport: () => transport(),
            history: options.history,
            catchUp: this.#random.chance(0.3) ? 50 : 'all',
            onConversation: (id: string) => this.#heardOf(user, id),
            onLeft: (id: string) => this.#known.get(user)?.delete(id),
            onSentAway: () => this.#begin(device.comeAgain()),
          },
          heads,
        );
        this.#devices.push(device);
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
    const { sendsPerSecond, deedsPerSecond } = this.#options;
    const rate = sendsPerSecond + deedsPerSecond;
    let due = performance.now();
    while (this.#running) {
      due += (-Math.log(1 - this.#random.next()) * 1000) / rate;
      const wait = due - performance.now();
      if (wait > 1) await sleep(wait);
      // A frozen process does not catch up.
      else if (wait < -1000) due = performance.now();
      if (this.#random.chance(deedsPerSecond / rate)) this.#do(this.#random.weighted(this.#deeds).name);
      else this.#send(this.#options.atOnce);
    }
  }

  /** Ends the work and waits until every send is answered and every device is alive. */
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

  /**
   * Waits until every client was shown everything visible to it; records what is missing. Returns the number of clients
   * that lack something.
   */
  async converge(expected: Expectation, deadlineMs: number): Promise<number> {
    const end = performance.now() + deadlineMs;
    const lacks = ({ user, live }: Device) =>
      live.flatMap((instance) => {
        const what = lack(instance, expected, expected.conversations[user] ?? {});
        return what === undefined ? [] : [{ instance, what }];
      });
    await this.#until(end, () =>
      this.#devices.every(
        (device) =>
          lacks(device).length === 0 && device.live.length > 0 && (!device.named || device.live.length === 1),
      ),
    );
    let stuck = 0;
    for (const device of this.#devices) {
      const lacking = lacks(device);
      const rivals = device.named && device.live.length !== 1 ? device.live : [];
      for (const { instance, what } of lacking) instance.stuck(`lacks ${what}`);
      for (const instance of rivals) instance.stuck(`is one of ${rivals.length} clients of its device`);
      if (device.live.length === 0)
        device.last?.stuck('was the last one of its device, which did not reconnect');
      stuck += lacking.length + rivals.length + Number(device.live.length === 0);
    }
    return stuck;
  }

  /** Sends a message to these conversations, by user, and waits for the answers. */
  async say(conversations: Readonly<Record<string, readonly string[]>>, deadlineMs: number): Promise<void> {
    for (const { user, named, current } of this.#devices)
      if (named) for (const id of conversations[user] ?? []) current?.send(id, 'at last');
    const end = performance.now() + deadlineMs;
    await this.#until(end, () => this.#live().every(({ client }) => client.pendingSends === 0));
  }

  /**
   * Marks shown messages as read. Returns how much is still missing: conversations that a client was shown nothing of,
   * and cursors that lag behind it.
   */
  settle({ conversations }: Expectation, cursors: Readonly<Record<string, number>>): number {
    let open = 0;
    for (const { user, group, live } of this.#devices)
      for (const instance of live)
        for (const id of Object.keys(conversations[user] ?? {})) {
          const head = instance.ownHead(id) ?? Number.POSITIVE_INFINITY;
          const isRead = (cursors[`${user} read ${id}`] ?? 0) >= head;
          if (!isRead) instance.mark(id);
          if (!isRead || (cursors[`${group} delivered ${id}`] ?? 0) < head) open++;
        }
    return open;
  }

  /** Returns how much the clients show wrongly of what they watch. @param isLast whether to record it */
  watched(
    { conversations }: Expectation,
    cursors: Readonly<Record<string, number>>,
    isLast: boolean,
  ): number {
    let count = 0;
    for (const { user, live } of this.#devices)
      for (const instance of live) {
        const wrong = instance.stale(conversations[user] ?? {}, cursors);
        count += wrong.length;
        if (isLast) for (const what of wrong) instance.writeStale(what);
      }
    return count;
  }

  /** Reads every conversation of every user from its end to its beginning, and records what the clients hold. */
  async views(expected: Expectation): Promise<void> {
    const { history } = this.#options;
    for (const device of this.#devices) {
      const { user, current, live } = device;
      const instance = current ?? live[0];
      if (instance === undefined || !device.named) continue;
      const { client } = instance;
      if (this.#devices.find((other) => other.user === user && other.named) !== device) continue;
      for (const conversation of Object.keys(expected.conversations[user] ?? {})) {
        let from = 0;
        for (let before = 0, more = true; more; ) {
          const page = await client.history(conversation, { before, limit: HISTORY_PAGE });
          for (const entry of page.entries) history.write({ kind: 'view', user, ...recorded(entry) });
          // A page must not be empty before the beginning; the checker misses what is not there.
          more = page.more && page.entries.length > 0;
          before = page.entries[0]?.seq ?? 0;
          // From the beginning, or from somewhere in the last page.
          if (page.entries.length > 0)
            from = this.#random.chance(0.5) ? before : this.#random.pick(page.entries).seq;
        }
        if (from > 0) await instance.recount(conversation, from);
      }
    }
    for (const { user, live } of this.#devices)
      for (const instance of live) instance.writeHeld(Object.keys(expected.conversations[user] ?? {}));
  }

  /** Stops at once, before the end of the process. */
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

  #do(deed: DeedName): void {
    const device = this.#random.pick(this.#devices);
    const { user, current } = device;
    const pauseMs = this.#random.between(0, 3000);
    if (deed === 'burst') this.#send(this.#random.between(...BURST));
    // One at a time: a device that is reconnecting is left alone until it is settled.
    else if (current === undefined) return;
    else if (deed === 'close') this.#begin(device.restart('closed', pauseMs));
    else if (deed === 'crash') this.#begin(device.restart('crashed', pauseMs));
    else if (deed === 'rival') this.#begin(device.named ? device.start() : device.restart('closed', 0));
    else if (deed === 'join') this.#begin(this.#join(current, user));
    else if (deed === 'direct') {
      const peer = this.#random.pick(this.#options.everyone);
      this.#begin(this.#open(current, user, 'direct', () => current.client.openDirect(peer)));
    } else if (deed === 'kick' || deed === 'revoke' || deed === 'logout')
      this.#begin(this.#order(deed, device));
    else if (deed === 'pause') {
      current.client.pause();
      this.#begin(sleep(pauseMs).then(() => current.client.resume()));
    } else this.#doIn(deed, current, user);
  }

  /** Actions in a known conversation. */
  #doIn(
    deed: 'leave' | 'remove' | 'role' | 'delete' | 'mark' | 'history' | About,
    instance: Instance,
    user: string,
  ): void {
    const { client } = instance;
    const own = deed === 'remove' || deed === 'role' || deed === 'delete';
    // Former members may read the log.
    const from = own ? this.#made : deed === 'history' ? this.#heard : this.#known;
    const ids = [...(from.get(user) ?? [])].filter(
      (id) => deed !== 'leave' || client.conversation(id)?.kind === 'room',
    );
    const peer = this.#random.pick(this.#options.everyone);
    if (ids.length === 0) return;
    const id = this.#random.pick(ids);
    const call = (work: () => Promise<unknown>, about?: string) =>
      this.#begin(instance.call(deed, id, work, about));
    if (deed === 'mark') instance.mark(id);
    else if (deed === 'history') this.#begin(instance.read(id, this.#somewhere()));
    else if (isAbout(deed)) instance.sendAbout(id, deed, this.#random);
    else if (deed === 'leave') call(() => client.leaveRoom(id));
    else if (deed === 'remove') call(() => client.removeMember(id, peer), peer);
    else if (deed === 'role') call(() => client.setRole(id, peer, this.#random.pick(ROLES)), peer);
    else {
      this.#made.get(user)?.delete(id);
      call(() => client.deleteRoom(id));
    }
  }

  /** A place in a log to read at. */
  #somewhere(): HistoryOptions {
    const seq = this.#random.between(2, 300);
    return this.#random.pick<HistoryOptions>([
      {},
      { before: seq },
      { after: seq },
      { around: seq },
      { firstUnread: true },
      { date: new Date(Date.now() - this.#random.between(0, 60_000)) },
    ]);
  }

  /**
   * Orders the end of connections of the device's user: its own, those of all tokens of the user, or those of its
   * token.
   */
  async #order(what: 'kick' | 'revoke' | 'logout', device: Device): Promise<void> {
    const { urls, admins, history } = this.#options;
    const { user, name } = device;
    const admin = this.#random.pick(admins);
    const since = Date.now();
    const note = { kind: 'order', what, user, device: what === 'kick' ? name : '', since } as const;
    let tokenMs = 0;
    const ask = async () => {
      const signal = AbortSignal.timeout(ORDER_TIMEOUT_MS);
      if (what !== 'logout') {
        const query = new URLSearchParams({ user, device: note.device, revoke: String(what === 'revoke') });
        return await fetch(`${admin}/kick?${query.toString()}`, { method: 'POST', signal });
      }
      const held = await this.#tokens.get(user)?.get();
      tokenMs = held?.ms ?? 0;
      const headers = { authorization: `Bearer ${held?.token}` };
      return await fetch(`${urls.api}/auth/logout`, { method: 'POST', headers, signal });
    };
    const confirmed = await ask().then(
      ({ ok }) => ok,
      () => false,
    );
    history.write({ ...note, tokenMs, confirmed });
    if (what === 'logout') await this.#tokens.get(user)?.drop(tokenMs);
  }

  #begin(work: Promise<unknown>): void {
    this.#under.add(work);
    void work.finally(() => this.#under.delete(work));
  }

  async #join(instance: Instance, user: string): Promise<void> {
    const room = `room-${this.#random.between(1, this.#options.rooms)}`;
    const hideHistory = this.#random.chance(this.#options.hiddenRooms);
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
    if (conversation !== undefined) this.#heardOf(user, conversation.id);
    return conversation?.id;
  }

  #heardOf(user: string, conversation: string): void {
    this.#known.get(user)?.add(conversation);
    this.#heard.get(user)?.add(conversation);
  }

  async #until(end: number, done: () => boolean): Promise<void> {
    while (!done() && performance.now() < end) await sleep(POLL_MS);
  }
}

function isAbout(deed: string): deed is About {
  return ABOUTS.has(deed);
}

/** Returns what a client still lacks. */
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
