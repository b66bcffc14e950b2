import { expect, test } from 'vitest';
import { pinned, startCluster } from '../harness/cluster.ts';
import { Client, type Json, runGochat, type RunningServer, signup } from '../harness/gochat.ts';

test('ctl trace, at any state node: the path of a message through both gateways; ctl session: connects and disconnects', async () => {
  await using cluster = await startCluster({ gateways: 2, states: 2 });
  const [first, second] = cluster.gateways as [RunningServer, RunningServer];
  await using left = await pinned(cluster, first);
  await using right = await pinned(cluster, second);
  await Promise.all(['ann', 'bob'].map((name) => signup(cluster, name)));
  await using ann = new Client(left, 'ann');
  await using bob = new Client(right, 'bob', undefined, ['--device', 'phone']);
  await Promise.all([ann.event('synced'), bob.event('synced')]);
  ann.say('/dm bob the secret');
  const [sent] = await Promise.all([ann.event('sent'), bob.event('message')]);

  const ctl = async (state: RunningServer, ...args: string[]) => {
    const { code, stdout } = await runGochat(['ctl', ...args, '--admin', `http://${state.up['admin']}`]);
    expect(code).toBe(0);
    expect(stdout).not.toContain('the secret');
    return JSON.parse(stdout) as { hops: Json[]; silent: string[]; live: Json[]; events: Json[] };
  };
  const commits = [];
  for (const state of cluster.states) {
    const { hops, silent } = await ctl(state, 'trace', String(sent['id']));
    expect(silent).toEqual([]);
    const at = (what: string) => hops.find((hop) => hop['what'] === what);
    const [left1, right1] = [first, second].map(({ up }) => expect.stringContaining(`${up['instance']}/`));
    const owner = cluster.states.map(({ up }) => up['crpc']);
    expect(owner).toContain(at('received')?.['to']);
    expect(at('received')).toMatchObject({ where: left1 });
    expect(at('acknowledged')).toMatchObject({ where: left1, sockets: 1, slow: 0, gone: 0 });
    expect(at('pushed')).toMatchObject({ where: right1, sockets: 1, slow: 0, gone: 0 });
    const committed = at('committed');
    if (committed !== undefined) commits.push(committed);
  }
  expect(commits).toMatchObject([{ seq: 1, batch: 1 }]);

  bob.end();
  await bob.exit();
  const { live, events } = await ctl(cluster.states[0] as RunningServer, 'session', 'bob');
  expect(live).toEqual([]);
  expect(events).toMatchObject([
    { device: 'phone', what: 'attached' },
    { device: 'phone', what: 'left' },
  ]);
}, 120_000);
