/** SQL text with its parameters, written as a template. */

/** What a parameter may be; arrays travel as literals (postgres-arrays.ts). */
export type Parameter = bigint | number | string | boolean | null;

/** A statement or a part of one: parts nest in templates. */
export class Statement {
  /** Text between the parameters, one more than there are parameters. */
  readonly strings: readonly string[];
  readonly values: readonly Parameter[];

  constructor(strings: readonly string[], values: readonly Parameter[]) {
    this.strings = strings;
    this.values = values;
  }

  /** The text with $1, $2, … for the parameters. */
  get text(): string {
    return this.strings.reduce((text, next, index) => `${text}$${index}${next}`);
  }
}

/** Makes a statement of a template; what stands in ${} becomes a parameter, never text, unless it is a statement. */
export function sql(strings: TemplateStringsArray, ...parts: readonly (Parameter | Statement)[]): Statement {
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
      values.push(part);
      texts.push(after);
    }
  }
  return new Statement(texts, values);
}
