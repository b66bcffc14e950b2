/** Appends to the log on PostgreSQL. */
import type { Logger, UserId } from '../../../common/mod.ts';
import { storableDraft } from '../input.ts';
import { contentFault } from './errors.ts';
import { AppendBatch, type AppendRow, type AppendSettings } from './append.ts';
import { partsOf } from './append-parts.ts';
import { PostgresPool, type PostgresPoolOptions } from './pool.ts';
import type { PostgresTarget } from './url.ts';
import { Repeaters } from './repeaters.ts';
import type { SqlSession } from '../sql.ts';
import type { Appended, Draft, EntryRules } from '../store.ts';

type Settings = Omit<AppendSettings, 'suspects'>;

/** One append runs and one may wait for the same locks; further ones would only queue in the server. */
const CONNECTIONS = 2;

/** It has its own connections, so that no reader delays a commit. */
export class PostgresAppender {
  readonly #pool: PostgresPool;
  readonly #logger: Logger;
  /** Senders whose messages are looked up before the insert: any other repetition is found only by undoing one. */
  readonly #repeaters = new Repeaters<UserId>();

  constructor(target: PostgresTarget, options: Omit<PostgresPoolOptions, 'max'>) {
    this.#logger = options.logger;
    this.#pool = new PostgresPool(target, { ...options, max: CONNECTIONS });
  }

  close(): Promise<void> {
    return this.#pool.close();
  }

  /** Appends drafts in one commit, or in several if the database rejects one; see LogStore.append. */
  async append(drafts: readonly Draft[], rules: EntryRules, hasFeed: boolean): Promise<Appended[]> {
    return drafts.length === 0 ? [] : this.#appendStorable(drafts.map(storableDraft), { rules, hasFeed });
  }

  async #appendStorable(drafts: readonly Draft[], settings: Settings): Promise<Appended[]> {
    try {
      return await this.#appendAll(drafts, settings);
    } catch (error) {
      const sqlstate = contentFault(error);
      if (sqlstate === undefined) throw error;
      const [draft] = drafts;
      if (drafts.length === 1 && draft !== undefined) {
        const { conversation, sender } = draft;
        this.#logger.warn({ sqlstate, conversation, sender }, 'PostgreSQL rejected a message');
        return [{ ok: false, code: 'MESSAGE_UNSTORABLE' }];
      }
      const half = drafts.length >> 1;
      const first = await this.#appendStorable(drafts.slice(0, half), settings);
      return [...first, ...(await this.#appendStorable(drafts.slice(half), settings))];
    }
  }

  async #appendAll(drafts: readonly Draft[], settings: Settings): Promise<Appended[]> {
    const parts = partsOf(drafts);
    const first = parts ? [] : await this.#appendPart(this.#pool, drafts, settings);
    if (!parts && !first.includes(undefined)) return first as Appended[];
    // In one transaction: the locks of its first statement are all that the others need.
    return this.#pool.transaction(async (session) => {
      const answers = drafts.map((_, index) => first[index]);
      for (let part = 0; answers.includes(undefined); ) {
        const next = [...drafts.keys()].filter((i) => answers[i] === undefined && (parts?.[i] ?? 0) <= part);
        if (next.length === 0) {
          part++;
          continue;
        }
        const found = await this.#appendPart(
          session,
          next.map((index) => drafts[index] as Draft),
          settings,
        );
        for (const [i, answer] of found.entries()) answers[next[i] as number] = answer;
      }
      return answers as Appended[];
    });
  }

  /** Returns undefined for drafts that have to be appended next. */
  async #appendPart(
    session: Pick<SqlSession, 'query'>,
    drafts: readonly Draft[],
    settings: Settings,
  ): Promise<(Appended | undefined)[]> {
    const batch = new AppendBatch(drafts);
    const suspects = this.#repeaters.size > 0 ? this.#repeaters : undefined;
    const [row] = await session.query<AppendRow>(batch.statement({ ...settings, suspects }));
    const answers = batch.answers(row);
    if (row?.repetitions !== null)
      for (const [index, answer] of answers.entries())
        if (answer?.ok && answer.duplicate) this.#repeaters.add((drafts[index] as Draft).sender);
    return answers;
  }
}
