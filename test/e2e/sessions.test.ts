import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GochatClient, tcpTransport, webSocketTransport } from '../../client/mod.ts';
import { type Cluster, pinned, startCluster } from '../harness/cluster.ts';
import { helloFrame, RawClient, tokenOf } from '../harness/raw-client.ts';
import { Client, type SystemUrls, runGochat, type RunningServer, signup } from '../harness/gochat.ts';
import { eventually } from '../harness/eventually.ts';

const PHONE = ['--device', 'phone'];

// Each client is a process of its own, which a busy machine starts slowly.
describe('sessions on two gateways and two state nodes', { timeout: 240_000 }, () => {
  let cluster: Cluster;
  let left: SystemUrls & AsyncDisposable;
  let right: SystemUrls & AsyncDisposable;

  beforeAll(async () => {
    cluster = await startCluster({ gateways: 2, states: 2 });
    const [first, second] = cluster.gateways as [RunningServer, RunningServer];
    [left, right] = [await pinned(cluster, first), await pinned(cluster, second)];
  }, 120_000);
  afterAll(async () => {
    await left?.[Symbol.asyncDispose]();
    await right?.[Symbol.asyncDispose]();
    await cluster?.[Symbol.asyncDispose]();
  });

  const ended = async (client: Client) => (await client.event('disconnected'))['code'];
  const kick = (...args: string[]) =>
    runGochat(['ctl', 'kick', ...args, '--admin', `http://${cluster.states[0]?.up['admin']}`]);

  test('a kick with a reason: reaches a connection on either gateway, and says why', async () => {
    await signup(cluster, 'ann');
    await using one = new Client(left, 'ann', undefined, PHONE);
    await using two = new Client(right, 'ann', undefined, ['--device', 'desk']);
    await Promise.all([one.event('synced'), two.event('synced')]);
    expect((await kick('ann', '--reason', 'be nice', '--device', 'desk')).code).toBe(0);
    const told = await two.event('disconnected');
    expect(told['code']).toBe('KICKED');
    expect(String(told['reason'])).toContain('be nice');
    expect(one.events.some((event) => event['event'] === 'disconnected')).toBe(false);
    expect((await kick('ann')).code).toBe(0);
    expect(await ended(one)).toBe('KICKED');
  });

  test('a logout: ends the connections of that token on the other gateway, not those of another login', async () => {
    await signup(cluster, 'bob');
    const login = async () => {
      const response = await fetch(`${cluster.api}/auth/login`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ name: 'bob', password: 'bob-secret' }),
      });
      return ((await response.json()) as { token: string }).token;
    };
    await using other = new Client(right, 'bob', undefined, PHONE);
    await other.event('synced');
    await using going = new Client(left, 'bob', undefined, ['--device', 'desk']);
    await going.event('synced');
    going.say('/logout');
    expect((await going.exit()).code).toBe(0);
    expect(other.events.some((event) => event['event'] === 'disconnected')).toBe(false);
    // Everywhere: all tokens that there are.
    const everywhere = await fetch(`${cluster.api}/auth/logout`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${await login()}` },
      body: JSON.stringify({ everywhere: true }),
    });
    expect(everywhere.status).toBe(200);
    expect(await ended(other)).toBe('LOGGED_OUT');
  });

  test('a revocation: ends every connection, and the token is refused from then on', async () => {
    await signup(cluster, 'cleo');
    await using one = new Client(left, 'cleo', undefined, PHONE);
    await using two = new Client(right, 'cleo', undefined, ['--device', 'desk']);
    const token = await tokenOf(cluster, 'cleo', 'cleo-secret');
    await Promise.all([one.event('synced'), two.event('synced')]);
    expect((await kick('cleo', '--revoke')).code).toBe(0);
    expect([await ended(one), await ended(two)]).toEqual(['KICKED', 'KICKED']);
    const rooms = async (bearer: string) =>
      (await fetch(`${cluster.api}/rooms`, { headers: { authorization: `Bearer ${bearer}` } })).status;
    const fresh = await tokenOf(cluster, 'cleo', 'cleo-secret');
    for (const { up } of cluster.gateways) {
      const gateway = up['tcp'] as string;
      // The node that is asked may hear of the order after it has let the token in, and then ends the connection.
      await eventually('the token is refused', async () => {
        await using late = new RawClient(gateway);
        late.send(helloFrame({ token }));
        return (await late.closeFrame()).code === 'TOKEN_REVOKED';
      });
      await using again = new RawClient(gateway);
      await again.hello(fresh);
    }
    expect(await rooms(fresh)).toBe(200);
    // Each of the two state nodes has been asked by then: they know of an order within half a second.
    await eventually('refused over HTTP', async () => (await rooms(token)) === 401);
  });

  test('several devices of one user: each continues from its own cursor on the other gateway', async () => {
    await Promise.all(['dan', 'eve'].map((name) => signup(cluster, name)));
    await using dan = new Client(left, 'dan');
    const texts = async (urls: SystemUrls, device: string, last: string) => {
      await using client = new Client(urls, 'eve', undefined, ['--device', device]);
      await client.event('synced');
      await client.event('message', (event) => event['text'] === last);
      client.end();
      expect((await client.exit()).code).toBe(0);
      return client.texts();
    };
    dan.say('/dm eve one', 'two');
    await eventually('two acks', async () => dan.events.filter(({ event }) => event === 'sent').length === 2);
    expect(await texts(left, 'phone', 'two')).toEqual(['one', 'two']);
    dan.say('three');
    await eventually(
      'three acks',
      async () => dan.events.filter(({ event }) => event === 'sent').length === 3,
    );
    expect(await texts(right, 'phone', 'three')).toEqual(['three']);
    expect(await texts(right, 'desk', 'three')).toEqual(['one', 'two', 'three']);
    dan.say('four');
    await eventually(
      'four acks',
      async () => dan.events.filter(({ event }) => event === 'sent').length === 4,
    );
    expect(await texts(left, 'phone', 'four')).toEqual(['four']);
    expect(await texts(left, 'desk', 'four')).toEqual(['four']);
  });

  test('a device that opens a conversation before its first sync: continues from its own cursor', async () => {
    await Promise.all(['hal', 'ida'].map((name) => signup(cluster, name)));
    await using hal = new Client(left, 'hal');
    const shown = async (args: string[], last: string) => {
      await using client = new Client(left, 'ida', undefined, args);
      await client.event('message', (event) => event['text'] === last);
      client.end();
      expect((await client.exit()).code).toBe(0);
    };
    hal.say('/dm ida one');
    await shown(PHONE, 'one');
    hal.say('two', 'three');
    await shown([], 'three');
    const phone = new GochatClient({
      api: right.api,
      ipconf: right.ipconf,
      user: 'ida',
      password: 'ida-secret',
      device: 'phone',
      transport: tcpTransport(),
    });
    const texts: string[] = [];
    phone.on('message', ({ text }) => texts.push(text));
    phone.on('connected', () => void phone.openDirect('hal'));
    await phone.connect();
    await phone.synchronised();
    await phone.close();
    expect(texts).toEqual(['two', 'three']);
  });

  test('roles, in the command-line client: given on one gateway, seen on the other; a moderator removes a member', async () => {
    await Promise.all(['nia', 'oli', 'pat'].map((name) => signup(cluster, name)));
    await using nia = new Client(left, 'nia');
    await using oli = new Client(right, 'oli');
    await using pat = new Client(left, 'pat');
    nia.say('/create harbour');
    await nia.event('joined');
    for (const client of [oli, pat]) {
      client.say('/join harbour');
      await client.event('joined');
    }
    nia.say('/role oli moderator');
    const news = { change: 'role', user: 'oli', by: 'nia', role: 'moderator' };
    for (const client of [nia, oli, pat])
      expect(await client.event('member', ({ change }) => change === 'role')).toMatchObject(news);
    pat.say('/remove oli');
    expect(await pat.event('error')).toMatchObject({ code: 'ROLE_TOO_LOW' });
    oli.say('/remove pat', '/who');
    await pat.event('removed');
    const { members } = (await oli.event('members')) as { members?: { name: string }[] };
    expect(members?.toSorted((a, b) => (a.name < b.name ? -1 : 1))).toMatchObject([
      { name: 'nia', role: 'owner' },
      { name: 'oli', role: 'moderator' },
    ]);
  });

  test('what a user makes, opens, joins and leaves on one device or over HTTP: shows on the others, also on later ones', async () => {
    await Promise.all(['lea', 'max'].map((name) => signup(cluster, name)));
    const token = await tokenOf(cluster, 'lea', 'lea-secret');
    const http = async (method: string, path: string, body?: object) => {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
      const init = { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) };
      const answer = await fetch(`${cluster.api}${path}`, init);
      expect(answer.ok).toBe(true);
      return (await answer.json().catch(() => ({}))) as { id?: string; name?: string; last_seq?: number };
    };
    await using cleanup = new AsyncDisposableStack();
    const open = async (urls: SystemUrls, user: string, device: string, transport = tcpTransport()) => {
      const { api, ipconf } = urls;
      const client = cleanup.use(
        new GochatClient({ api, ipconf, user, password: `${user}-secret`, device, transport }),
      );
      const events: string[] = [];
      client.on('opened', ({ name }) => events.push(`opened ${name}`));
      client.on('listed', ({ conversations }) =>
        events.push(...conversations.map(({ name }) => `listed ${name}`)),
      );
      client.on('left', ({ name, reason }) => events.push(`${reason} ${name}`));
      await client.connect();
      await client.synchronised();
      const sees = (event: string) =>
        eventually(`${device} sees: ${event}`, async () => events.includes(event));
      return { client, events, sees };
    };
    const phone = await open(left, 'lea', 'phone');
    const desk = await open(right, 'lea', 'desk', webSocketTransport());
    const max = await open(right, 'max', 'max');
    await max.client.createRoom('maxroom');
    // On the phone, over TCP.
    const garden = await phone.client.createRoom('garden');
    await desk.sees('opened garden');
    await phone.client.openDirect('max');
    await desk.sees('opened max');
    const joined = await phone.client.joinRoom('maxroom');
    await desk.sees('opened maxroom');
    await phone.client.leaveRoom(joined.id);
    await desk.sees('left maxroom');
    // On the desk, over WebSocket.
    await desk.client.createRoom('attic');
    await phone.sees('opened attic');
    // Over HTTP.
    const { id: cellar = '' } = await http('POST', '/rooms', { name: 'cellar' });
    await Promise.all([phone.sees('opened cellar'), desk.sees('opened cellar')]);
    await http('POST', `/rooms/${joined.id}/join`);
    await phone.sees('opened maxroom');
    await eventually(
      'desk sees maxroom again',
      async () => desk.events.lastIndexOf('opened maxroom') > desk.events.indexOf('left maxroom'),
    );
    await http('DELETE', `/rooms/${cellar}`);
    await Promise.all([phone.sees('deleted cellar'), desk.sees('deleted cellar')]);
    const named = async ({ client }: typeof phone) =>
      (await client.listRooms()).rooms.filter(({ joined }) => joined).map(({ name }) => name);
    expect(await named(phone)).toEqual(expect.arrayContaining(['garden', 'maxroom', 'attic']));
    expect(await named(desk)).toEqual(await named(phone));
    const { name, last_seq } = await http('GET', `/rooms/${joined.id}`);
    for (const { client } of [phone, desk])
      expect(await client.getConversation(joined.id)).toMatchObject({
        name,
        lastSeq: last_seq,
        role: 'member',
      });
    await max.client.removeMember(joined.id, 'lea');
    await Promise.all([phone.sees('removed maxroom'), desk.sees('removed maxroom')]);
    // A device that comes later.
    const tablet = await open(left, 'lea', 'tablet');
    expect(tablet.events.toSorted()).toEqual(['listed attic', 'listed garden', 'listed max']);
    // Max did not open the conversation with lea, and hears of it when something is said.
    expect(max.events).toEqual([]);
    expect(tablet.client.conversation(garden.id)).toMatchObject({ name: 'garden' });
  });

  test('an attempt that arrives after a later one of its client, on the other gateway: does not replace it', async () => {
    await signup(cluster, 'kim');
    const token = await tokenOf(cluster, 'kim', 'kim-secret');
    const [first, second] = cluster.gateways.map(({ up }) => up['tcp'] as string) as [string, string];
    await using live = new RawClient(first);
    await live.hello(token, { device: 'phone', run: 7n, attempt: 2 });
    await using late = new RawClient(second);
    late.send(helloFrame({ token, device: 'phone', run: 7n, attempt: 1 }));
    expect(await late.closeFrame()).toMatchObject({ code: 'SESSION_REPLACED' });
    await using again = new RawClient(second);
    await again.hello(token, { device: 'phone', run: 7n, attempt: 3 });
    // Which also proves that it lived until then.
    expect(await live.closeFrame()).toMatchObject({ code: 'SESSION_REPLACED' });
  });

  test('a gateway dies: the session resumes at the other one, and the conversation continues', async () => {
    await Promise.all(['flo', 'gil'].map((name) => signup(cluster, name)));
    await using flo = new Client(cluster, 'flo', undefined, PHONE);
    await using gil = new Client(cluster, 'gil');
    const before = await flo.event('connected');
    await Promise.all([flo.event('synced'), gil.event('synced')]);
    gil.say('/dm flo one');
    await flo.event('message');
    cluster.gateways.find(({ up }) => up['instance'] === before['gateway'])?.process.signal('SIGKILL');
    const after = await flo.event('connected', ({ gateway }) => gateway !== before['gateway']);
    expect(after).toMatchObject({ resumed: true, session: before['session'] });
    gil.say('two');
    await flo.event('message', ({ text }) => text === 'two');
    expect(flo.texts()).toEqual(['one', 'two']);
  });
});
