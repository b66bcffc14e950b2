/** Going anywhere by a name. */
import type { ConversationRow, Model } from '../model/mod.ts';
import { terminalEn as texts } from '../texts/mod.ts';
import { countText } from './chat-screen.ts';
import { type Choice, drawSwitcher } from './popups.ts';
import type { Numbers } from './sidebar.ts';
import { graphemes } from './text.ts';
import type { Popup } from './view.ts';

export type Target =
  | { readonly kind: 'conversation'; readonly id: string }
  /** A line of input. */
  | { readonly kind: 'command'; readonly line: string };

export class Switcher {
  readonly #model: Model;
  readonly #numbers: Numbers;
  #query = '';
  #selected = 0;

  constructor(model: Model, numbers: Numbers) {
    this.#model = model;
    this.#numbers = numbers;
  }

  type(text: string): void {
    this.#query += text.replaceAll('\n', ' ');
    this.#selected = 0;
  }

  back(): void {
    this.#query = graphemes(this.#query).slice(0, -1).join('');
    this.#selected = 0;
  }

  move(by: number): void {
    const { length } = this.#found();
    if (length > 0) this.#selected = (this.#selected + by + length) % length;
  }

  /** What Enter goes to. */
  get target(): Target | undefined {
    return this.#found()[this.#selected]?.target;
  }

  draw(width: number, height: number): Popup {
    const found = this.#found();
    return drawSwitcher(
      {
        title: texts.goTo,
        count: texts.ofAll(found.length, this.#model.conversations.rows().length),
        query: this.#query,
        choices: found.map(({ choice }) => choice),
        selected: this.#selected,
        hint: [texts.filters, texts.enterEsc],
      },
      width,
      Math.min(height, Math.max(5, found.length + 4)),
    );
  }

  #found(): readonly { readonly target: Target; readonly choice: Choice }[] {
    const filter = /^[#@!]/.exec(this.#query)?.[0] ?? '';
    const query = this.#query.slice(filter.length);
    const wanted = query.trim().toLowerCase();
    const accepts = ({ kind, unread, title, name }: ConversationRow) =>
      (filter !== '#' || kind === 'room') &&
      (filter !== '@' || kind === 'direct') &&
      (filter !== '!' || unread > 0) &&
      (title.toLowerCase().includes(wanted) || name.toLowerCase().includes(wanted));
    const rows = this.#model.conversations.rows().filter(accepts);
    const begins = (row: ConversationRow) => (row.name.toLowerCase().startsWith(wanted) ? 0 : 1);
    const found = rows
      .toSorted((a, b) => begins(a) - begins(b))
      .map((row) => ({
        target: { kind: 'conversation' as const, id: row.id },
        choice: {
          mark: `${this.#numbers.of(row.id) ?? ' '} ${row.kind === 'room' ? '#' : '@'} `,
          name: row.title,
          what: row.kind === 'room' ? texts.room : texts.person,
          right: row.unread === 0 ? '' : countText(row.unread),
        },
      }));
    const isName = /^[\p{L}\p{N}._-]+$/u.test(wanted) && filter !== '!';
    const isKnown = (kind: string) =>
      rows.some((row) => row.kind === kind && row.name.toLowerCase() === wanted);
    const command = (line: string, mark: string, name: string, what: string) => ({
      target: { kind: 'command' as const, line },
      choice: { mark: `  ${mark} `, name, what, right: '' },
    });
    return [
      ...found,
      ...(isName && filter !== '#' && !isKnown('direct')
        ? [command(`/dm ${wanted}`, '+', `@${wanted}`, texts.writeTo)]
        : []),
      ...(isName && filter !== '@' && !isKnown('room')
        ? [command(`/join ${wanted}`, '+', `#${wanted}`, texts.joinIt)]
        : []),
    ];
  }
}
