/** Contract of Store, run against each engine by store.test.ts. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ConversationId } from '../../../common/mod.ts';
import { type Nodes, RULES, type Scratch, World } from './scratch.contract.ts';
import { describeEntries } from './store-entries.contract.ts';
import { describeFold } from './store-fold.contract.ts';
import { describeLog } from './store-log.contract.ts';
import { describeErasure } from './store-erasure.contract.ts';
import { describeFloor } from './store-floor.contract.ts';
import { describeHistory } from './store-history.contract.ts';
import { describeLists } from './store-lists.contract.ts';
import { describeSystem } from './store-system.contract.ts';
import { describeAccounts } from './store-accounts.contract.ts';
import { describeLogins } from './store-logins.contract.ts';
import { describeMembership } from './store-membership.contract.ts';
import { describePeople } from './store-people.contract.ts';
import { describeRefusals } from './store-refusals.contract.ts';
import { describePresence } from './store-presence.contract.ts';
import { describeRoles } from './store-roles.contract.ts';
import { describeSelf } from './store-self.contract.ts';
import { describeSync } from './store-sync.contract.ts';
import { describeThreads } from './store-threads.contract.ts';

/** Runs the suite on an empty database. */
export function describeStore(engine: string, makeScratch: () => Promise<Scratch>): void {
  describe(`store on ${engine}`, () => {
    let nodes: Nodes;

    beforeAll(async () => {
      const scratch = await makeScratch();
      nodes = { a: await World.open(scratch), b: await World.open(scratch), scratch };
    });

    afterAll(async () => {
      await nodes.a.store.close();
      await nodes.b.store.close();
      await nodes.scratch[Symbol.asyncDispose]();
    });

    describePeople(() => nodes);
    describeLogins(() => nodes);
    describeAccounts(() => nodes);
    describeMembership(() => nodes);
    describeRoles(() => nodes);
    describeLog(() => nodes);
    describeSync(() => nodes);
    describeEntries(() => nodes);
    describeRefusals(() => nodes);
    describeFold(() => nodes);
    describeErasure(() => nodes);
    describeFloor(() => nodes);
    describeHistory(() => nodes);
    describeLists(() => nodes);
    describeSystem(() => nodes);
    describeThreads(() => nodes);
    describeSelf(() => nodes);
    describePresence(() => nodes);

    test('ping: resolves', async () => {
      await expect(nodes.a.store.ping()).resolves.toBeUndefined();
    });

    test('close: twice is once, and every later call is STORE_UNAVAILABLE', async () => {
      const { store } = await World.open(nodes.scratch);
      await Promise.all([store.close(), store.close()]);
      const closed = expect.objectContaining({ code: 'STORE_UNAVAILABLE' });
      await expect(store.ping()).rejects.toEqual(closed);
      await expect(store.append([], RULES)).rejects.toEqual(closed);
      await expect(store.membersOf(1n as ConversationId)).rejects.toEqual(closed);
      await expect(store.findAccount('x')).rejects.toEqual(closed);
    });

    test('close: what was asked before is still answered', async () => {
      const world = await World.open(nodes.scratch);
      const user = await world.user();
      const room = await world.room(user);
      const appended = world.append([world.draft(room, user)]);
      await world.store.close();
      expect(await appended).toMatchObject([{ ok: true, seq: 1 }]);
    });
  });
}
