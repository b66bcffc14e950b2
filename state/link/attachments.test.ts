import { expect, test } from 'vitest';
import type { UserId } from '../../common/mod.ts';
import { link } from '../../proto/mod.ts';
import type { Downlink } from '../session/downlink.ts';
import { LocationMap } from '../session/location-map.ts';
import { Presence } from '../session/presence.ts';
import { WatchBook } from '../session/watch-book.ts';
import { SessionLog } from '../explain/session-log.ts';
import { Attachments } from './attachments.ts';
import type { LinkContext } from './link-context.ts';
import { eventually } from '../../test/harness/eventually.ts';

test('the end of a stream with very many connections: some are removed in each tick, and reconnected ones are kept', async () => {
  const locations = new LocationMap<Downlink>();
  const presence = new Presence({ locations, graceMs: 60_000 });
  const evictions = { orderFor: () => undefined };
  const watches = new WatchBook();
  const context = {
    locations,
    presence,
    evictions,
    watches,
    sessionLog: new SessionLog(),
  } as unknown as LinkContext;
  const open = () => {
    const downlink = { peerName: 'gateway/1', ended: false } as { index: number } & Downlink;
    downlink.index = locations.open(downlink);
    return new Attachments(downlink, context);
  };
  const attach = (to: Attachments, conn: number) =>
    to.attach(link.Attach.fromPartial({ conn, user: BigInt(conn), device: 'phone', epoch: 1n }));
  const [before, after] = [open(), open()];
  for (let conn = 1; conn <= 10_000; conn++) attach(before, conn);
  before.forget();
  expect(locations.size).toBe(10_000 - 4096);
  // The newest go first, so it is still there twice.
  attach(after, 1);
  expect(locations.connectionsOf(1n as UserId)).toHaveLength(2);
  await eventually(() => locations.size === 1);
  after.detach(1, true, 'left', '');
  expect([1n, 2n].map((user) => presence.isOnline(user as UserId))).toEqual([false, true]);
});
