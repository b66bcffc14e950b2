/** SQL templates with parameters, and the port that runs them. The text is the same for both engines where possible. */
import { storableId, storableText } from './input.ts';

/** Types of parameters; arrays travel to PostgreSQL as literals (postgres/arrays.ts). */
export type Parameter = bigint | number | string | boolean | null;

/** Texts of statements without parts, which are the same at each evaluation. */
const texts = new WeakMap<readonly string[], string>();
const textsWithMarks = new WeakMap<readonly string[], string>();

/** A statement or a part of one; parts nest in templates. Parameters are made to fit the engines (input.ts). */
export class Statement {
  /** The texts between the parameters, one more than there are parameters. */
  readonly strings: readonly string[];
  readonly values: readonly Parameter[];

  constructor(strings: readonly string[], values: readonly Parameter[]) {
    this.strings = strings;
    this.values = values;
  }

  /** The text with $1, $2, … for the parameters, for PostgreSQL. */
  get text(): string {
    return once(texts, this.strings, (strings) =>
      strings.reduce((text, next, index) => `${text}$${index}${next}`),
    );
  }

  /** The text with ? for each parameter, for SQLite. */
  get textWithMarks(): string {
    return once(textsWithMarks, this.strings, (strings) => strings.join('?'));
  }
}

function once(
  known: WeakMap<readonly string[], string>,
  strings: readonly string[],
  make: (strings: readonly string[]) => string,
): string {
  // Composed templates have a new list each time.
  if (!('raw' in strings)) return make(strings);
  let text = known.get(strings);
  if (text === undefined) {
    text = make(strings);
    known.set(strings, text);
  }
  return text;
}

/** SQL that differs between the engines. Casts, booleans as values, RETURNING and ON CONFLICT do not. */
export interface Dialect {
  /** Ends a SELECT: locks its rows against appends and other changes until the transaction ends. */
  readonly forChange: Statement;
  /** Ends a SELECT: locks its rows against everything else, references to them included. */
  readonly forRemoval: Statement;
  /** The literal used in the indexes on flags. */
  readonly isTrue: Statement;
  /** The function that returns the greatest of its arguments. */
  readonly greatest: Statement;
  /** The aggregate function that returns a JSON array. */
  readonly jsonArray: Statement;
  /** Column of `members` with the time of joining. */
  readonly joinedAt: Statement;
  /** The engine's clock, Unix time in ms. */
  readonly nowMs: Statement;
  /** Follows IN: the ids as one parameter, so that the statement's text is the same for any number of them. */
  readonly listOf: (ids: readonly bigint[]) => Statement;
  /** Follows FROM: rows `place` with the columns id, seq and until. */
  readonly placesOf: (
    places: readonly (readonly [id: bigint, seq: bigint | number, until: number])[],
  ) => Statement;
}

/** Runs statements, in a transaction or each in its own. */
export interface SqlSession {
  readonly dialect: Dialect;
  /** Resolves with the rows. 64-bit integers are bigint; a boolean is 0 or 1 in SQLite. */
  query<Row extends object = object>(statement: Statement): Promise<Row[]>;
}

/** An open database. Outside a transaction each statement is one. */
export interface SqlDatabase extends SqlSession {
  /**
   * Runs `work` in one transaction, which is rolled back when it rejects. PostgreSQL may run it again, in READ COMMITTED;
   * in SQLite it has the only write lock, and awaits nothing but its own statements.
   */
  transaction<T>(work: (session: SqlSession) => Promise<T>): Promise<T>;
}

/** Makes a statement of a template. Values in ${} become parameters, never text, unless they are statements. */
export function sql(strings: TemplateStringsArray, ...parts: readonly (Parameter | Statement)[]): Statement {
  if (parts.every(isParameter)) return new Statement(strings, parts.map(storable));
  const texts = [strings[0] as string];
  const values: Parameter[] = [];
  for (const [index, part] of parts.entries()) {
    const after = strings[index + 1] as string;
    if (part instanceof Statement) {
      texts[texts.length - 1] += part.strings[0] as string;
      texts.push(...part.strings.slice(1));
      values.push(...part.values);
      texts[texts.length - 1] += after;
    } else {
      values.push(storable(part));
      texts.push(after);
    }
  }
  return new Statement(texts, values);
}

function isParameter(part: Parameter | Statement): part is Parameter {
  return !(part instanceof Statement);
}

function storable(value: Parameter): Parameter {
  if (typeof value === 'string') return storableText(value);
  return typeof value === 'bigint' ? storableId(value) : value;
}
