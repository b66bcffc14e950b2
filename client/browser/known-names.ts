/** Display names that have passed in events and answers. */

type Found = Readonly<Record<string, unknown>>;

/** Pairs of fields that say who somebody is and how they are called. */
const PAIRS = [
  ['sender', 'from'],
  ['user', 'displayName'],
  ['id', 'displayName'],
] as const;

export class KnownNames {
  readonly #names = new Map<string, string>();

  get(user: string): string | undefined {
    return this.#names.get(user);
  }

  /** Notes the names in an event or an answer. */
  note(value: unknown): void {
    if (Array.isArray(value)) for (const each of value) this.note(each);
    if (typeof value !== 'object' || value === null) return;
    const found = value as Found;
    for (const [user, name] of PAIRS) {
      const [who, called] = [found[user], found[name]];
      if (typeof who === 'string' && typeof called === 'string' && called !== '')
        this.#names.set(who, called);
    }
    for (const part of [
      'entries',
      'members',
      'users',
      'pins',
      'message',
      'quote',
      'readers',
      'conversations',
      'lastMessage',
    ])
      if (typeof found[part] === 'object') this.note(found[part]);
  }
}
