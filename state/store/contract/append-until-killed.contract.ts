/** A program that appends to the store it is given and prints each seq once it is acked; see store-sqlite.test.ts. */
import { writeSync } from 'node:fs';
import { silentLogger } from '../../../common/mod.ts';
import { openStore } from '../mod.ts';
import { World } from './scratch.contract.ts';

const BATCH = 20;

const [url, room, user] = process.argv.slice(2);
const world = new World(await openStore(url ?? '', { logger: silentLogger }));
for (;;) {
  const drafts = Array.from({ length: BATCH }, () =>
    world.draft(BigInt(room ?? 0) as never, BigInt(user ?? 0) as never, { text: 'x'.repeat(500) }),
  );
  try {
    const answers = await world.append(drafts);
    const lines = answers.map(
      (answer, index) => `${answer.ok ? answer.seq : answer.code} ${drafts[index]?.id}\n`,
    );
    writeSync(1, lines.join(''));
  } catch (error) {
    // Out of space, where the test has set a limit: the process must live on and still read.
    const code = error instanceof Error && 'code' in error ? error.code : error;
    const page = await world.history(BigInt(user ?? 0) as never, BigInt(room ?? 0) as never, 0, 1);
    writeSync(1, `failed ${String(code)} newest ${page?.messages[0]?.seq}\n`);
    await world.store.close();
    break;
  }
}
