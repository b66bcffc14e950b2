/** Small numbers leased from etcd: each live process has another one. */
import { GochatError, once } from '../../common/mod.ts';
import type { Logger } from '../../common/mod.ts';
import type { LeasedId } from '../registry.ts';
import type { EtcdClient, KeyRange } from './etcd-client.ts';
import type { TxnRequest } from './gen/etcd.ts';
import type { EtcdSession, LeasedEntry } from './session.ts';

const CURSOR = 'last';

export interface LeaseNumberOptions {
  readonly client: EtcdClient;
  readonly session: EtcdSession;
  readonly logger: Logger;
  readonly range: KeyRange;
  readonly max: number;
  /** Unique for this lease of a number. */
  readonly owner: string;
}

/**
 * Takes the next free number after the one taken last, so that a number whose holder went silent comes round again as
 * late as can be.
 *
 * After the loss of the process's lease the number is taken again if nobody has it; otherwise `lost` resolves.
 */
export async function leaseNumber(options: LeaseNumberOptions): Promise<LeasedId> {
  const { client, session, range, owner, logger } = options;
  let reportLost = (): void => {};
  const lost = new Promise<void>((resolve) => {
    reportLost = resolve;
  });
  let value = -1;
  let isHeld = false;
  const entry: LeasedEntry = {
    dirty: false,
    put: async (lease) => {
      if (!isHeld) {
        value = await takeFree(options, lease);
        isHeld = true;
        return;
      }
      if (await take(options, value, lease)) return;
      const key = numberKey(range, value);
      const [holder] = (await client.range({ key, end: NONE })).kvs;
      // Our own key under an older lease that is about to expire: the next renewal takes it again.
      if (holder?.value.toString() === owner) {
        await client.put(key, owner, lease);
        return;
      }
      session.remove(entry);
      logger.error({ number: value, key: range.key.toString() }, 'another process holds our number now');
      reportLost();
    },
  };
  await session.add(entry);
  const release = once(async () => {
    session.remove(entry);
    const key = numberKey(range, value);
    try {
      await client.txn({
        compare: [{ result: 0, target: 3, key, targetUnion: { $case: 'value', value: Buffer.from(owner) } }],
        success: [
          {
            request: { $case: 'requestDeleteRange', requestDeleteRange: { key, rangeEnd: NONE } },
          },
        ],
        failure: [],
      });
    } catch (error) {
      logger.debug({ err: error }, 'number is left to expire');
    }
  });
  return { value, lost, release, [Symbol.asyncDispose]: release };
}

const NONE = Buffer.alloc(0);

function numberKey(range: KeyRange, value: number): Buffer {
  return Buffer.concat([range.key, Buffer.from(String(value))]);
}

async function takeFree(options: LeaseNumberOptions, lease: bigint): Promise<number> {
  const { client, range, max } = options;
  for (;;) {
    const { kvs } = await client.range(range);
    const names = new Map(
      kvs.map(({ key, value }) => [key.subarray(range.key.length).toString(), value.toString()]),
    );
    const last = Number(names.get(CURSOR) ?? -1);
    let value = -1;
    for (let step = 1; step <= max + 1 && value < 0; step++) {
      const candidate = (Math.max(-1, last) + step) % (max + 1);
      if (!names.has(String(candidate))) value = candidate;
    }
    if (value < 0) throw new GochatError('OVERLOADED');
    // Another process may be faster; then the list is read again.
    if (await take(options, value, lease)) return value;
  }
}

/** Takes a number if nobody has it. */
function take({ client, range, owner }: LeaseNumberOptions, value: number, lease: bigint): Promise<boolean> {
  const key = numberKey(range, value);
  const request: TxnRequest = {
    compare: [{ result: 0, target: 0, key, targetUnion: { $case: 'version', version: 0n } }],
    success: [
      { request: { $case: 'requestPut', requestPut: { key, value: Buffer.from(owner), lease } } },
      {
        request: {
          $case: 'requestPut',
          requestPut: {
            key: Buffer.concat([range.key, Buffer.from(CURSOR)]),
            value: Buffer.from(String(value)),
            lease: 0n,
          },
        },
      },
    ],
    failure: [],
  };
  return client.txn(request);
}
