/** Member lists from PostgreSQL, many per statement: while some are in flight, the next ones gather. */
import { setImmediate } from 'node:timers/promises';
import { type ConversationId, GochatError, type UserId } from '../../../common/mod.ts';
import { storableId } from '../input.ts';
import { integerArray } from './arrays.ts';
import type { PostgresPool } from './pool.ts';
import { sql } from '../sql.ts';
import { MEMBERS_A_TURN } from '../member-pieces.ts';
import type { MemberList } from '../store.ts';

const MAX_STATEMENTS = 2;
const MAX_CONVERSATIONS = 256;
/** Members per statement: it ends before the conversation that exceeds them, and the rest is queried again. */
const MAX_MEMBERS = 20_000;

/** A row of gochat_member_lists; nulls for a conversation without members. */
interface MemberRow {
  /** Position of the conversation, from 1. */
  readonly n: bigint;
  readonly version: bigint | null;
  readonly user_id: UserId | null;
  readonly visible_after_seq: bigint | null;
}

interface Question {
  readonly conversation: ConversationId;
  readonly resolve: (list: MemberList | undefined) => void;
  readonly reject: (error: GochatError) => void;
}

/**
 * No timer: requests of one turn of the event loop, and those that come while all statements are in flight, go
 * together.
 */
export class PostgresMemberLists {
  readonly #pool: PostgresPool;
  #waiting: Question[] = [];
  #statements = 0;

  constructor(pool: PostgresPool) {
    this.#pool = pool;
  }

  /** Reads the members as of the call or later; see Store.membersOf. */
  membersOf(conversation: ConversationId): Promise<MemberList | undefined> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.push({ conversation, resolve, reject }) === 1) queueMicrotask(() => this.#start());
    });
  }

  #start(): void {
    while (this.#statements < MAX_STATEMENTS && this.#waiting.length > 0) {
      const questions = this.#waiting.splice(0, MAX_CONVERSATIONS);
      this.#statements++;
      this.#ask(questions)
        .then((answered) => {
          this.#waiting.unshift(...questions.slice(answered));
        })
        .catch((error: unknown) => {
          for (const { reject } of questions) reject(GochatError.from(error));
        })
        .finally(() => {
          this.#statements--;
          this.#start();
        });
    }
  }

  /** Answers the first requests, at least one. Returns their number. */
  async #ask(questions: readonly Question[]): Promise<number> {
    const ids = integerArray(questions.map(({ conversation }) => storableId(conversation)));
    const rows = await this.#pool.query<MemberRow>(
      sql`
        select n, version, user_id, visible_after_seq
        from gochat_member_lists(${ids}::bigint[], ${MAX_MEMBERS}::bigint)`,
    );
    let at = 0;
    for (let answered = 0; ; answered++) {
      const first = rows[at];
      const question = questions[answered];
      if (first === undefined || question === undefined) return answered;
      const members: MemberList['members'][number][] = [];
      for (; rows[at]?.n === first.n; at++) {
        if (at % MEMBERS_A_TURN === MEMBERS_A_TURN - 1) await setImmediate();
        const { user_id: user, visible_after_seq: visible } = rows[at] as MemberRow;
        if (user !== null) members.push({ user, visibleAfterSeq: Number(visible) });
      }
      question.resolve(members.length === 0 ? undefined : { version: Number(first.version), members });
    }
  }
}
