/** The chat on the screen: obeys keys, follows the model, and gives frames. */
import type { ConversationRow, MessageItem, Model, TimelineItem } from '../model/mod.ts';
import { ClientError, type ClientEvent, type GochatClient } from '../sdk/mod.ts';
import { terminalEn as texts } from '../texts/mod.ts';
import { ACTIONS, type KeyAction, MESSAGE_ACTIONS, type Obeys } from './actions.ts';
import { countText, type Drawn, drawChat, type Layout, layoutOf, timelineHeight } from './chat-screen.ts';
import { runCommand } from './command-session.ts';
import { type Completion, completionsOf } from './completion.ts';
import type { Frame } from './display.ts';
import { Editor } from './editor.ts';
import { ItemRows, lineOf, type Placed, seqOf, timeOf, type UnreadLine } from './item-view.ts';
import type { Input } from './keys.ts';
import { drawCompletions, drawNotice, drawPage } from './popups.ts';
import { type Row, rule } from './row.ts';
import { Scroll, type Visible } from './scroll.ts';
import { isMuted, Numbers, ordered, sidebarOf, unreadElsewhere } from './sidebar.ts';
import { Switcher } from './switcher.ts';
import { cut, visible, visibleLine } from './text.ts';
import { textRow } from './timeline-rows.ts';
import type { ChatView, InputView, Mode, Size, StatusView } from './view.ts';

/** What was seen for so long is read, ms. */
const READ_MS = 1_000;
/** Where the terminal does not tell whether it is focused, somebody is there for so long after a key, ms. */
const ATTENTIVE_MS = 60_000;
const NOTICE_MS = 6_000;
const QUIT_MS = 2_000;
const BELL_MS = 5_000;
/** More lines of an answer are a page of their own. */
const MAX_NOTICE_LINES = 6;
/** Conversations whose timeline begins at the unread line rather than at the newest message, unread messages. */
const MANY_UNREAD = 30;
const FOLD_LINES = 8;
/** Commands that passwords stand in: they enter no history. */
const SECRET = /^\/(?:password|delete-account)\b/;
// oxlint-disable-next-line no-control-regex -- Control characters are what it is for.
const UNSENDABLE = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g;

export interface ChatHost {
  readonly now: () => number;
  /** What is on the screen has changed. @param isUrgent a key has changed it */
  readonly changed: (isUrgent: boolean) => void;
  readonly redraw: () => void;
  readonly bell: () => void;
  readonly suspend: () => void;
  /** Leaves the screen and prints these lines, until a key comes. */
  readonly bare: (lines: readonly string[]) => void;
  readonly copy: (text: string) => void;
  readonly quit: (how: 'quit' | 'logout' | 'logout-everywhere') => void;
}

interface Writing {
  readonly editor: Editor;
  mode: { readonly kind: 'reply' | 'edit'; readonly item: MessageItem } | undefined;
  /** A long text was pasted, and nothing was changed since. */
  isFolded: boolean;
}

type Over =
  | { readonly kind: 'switcher'; readonly switcher: Switcher }
  | {
      readonly kind: 'page';
      readonly title: readonly [string, string];
      readonly lines: () => readonly string[];
      top: number;
    }
  | { readonly kind: 'ask'; readonly question: string; readonly yes: () => void };

interface Notice {
  readonly lines: readonly string[];
  readonly isError: boolean;
  readonly timer: ReturnType<typeof setTimeout> | undefined;
}

export class Chat implements Obeys {
  readonly #client: GochatClient;
  readonly #model: Model;
  readonly #host: ChatHost;
  readonly #numbers = new Numbers();
  readonly #itemRows = new ItemRows();
  readonly #writings = new Map<string, Writing>();
  readonly #unsubscribe: (() => void)[];
  #current: string | undefined;
  #previous: string | undefined;
  #size: Size;
  #isSidebarHidden = false;
  #scroll = new Scroll();
  #unread: UnreadLine | undefined;
  /** The unread line is to be shown once the timeline is here. */
  #isEntering = false;
  #selected: string | undefined;
  /** What is here was marked unread: it is read when one comes again. */
  #isKeptUnread = false;
  #over: Over | undefined;
  #completion: Completion | undefined;
  #notice: Notice | undefined;
  #isAltNext = false;
  #isFocused: boolean | undefined;
  #keyAtMs: number;
  #quitAtMs = 0;
  #bellAtMs = 0;
  #readTimer: ReturnType<typeof setTimeout> | undefined;
  #clock: ReturnType<typeof setInterval> | undefined;
  /** Of the last frame. */
  #placed: readonly Placed[] = [];
  #visible: Visible | undefined;
  #lines = 1;

  constructor(client: GochatClient, model: Model, host: ChatHost, size: Size) {
    this.#client = client;
    this.#model = model;
    this.#host = host;
    this.#size = size;
    this.#keyAtMs = host.now();
    const changed = () => this.#changed();
    this.#unsubscribe = [
      model.status.subscribe(() => this.#tick()),
      model.conversations.subscribe(changed),
      model.drafts.subscribe(() => this.#takeDraft()),
      model.typing.subscribe(changed),
      model.watching.subscribe(changed),
      client.onAny((event) => this.#onEvent(event)),
    ];
  }

  close(): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    clearTimeout(this.#readTimer);
    clearTimeout(this.#notice?.timer);
    clearInterval(this.#clock);
  }

  /** Tells the size of the next frames. */
  resize(size: Size): void {
    this.#size = size;
  }

  /** The conversation on the screen, and what is written there and not sent. */
  get unsent(): { readonly conversation: string; readonly text: string } | undefined {
    const writing = this.#current === undefined ? undefined : this.#writings.get(this.#current);
    if (this.#current === undefined || writing === undefined || writing.mode?.kind === 'edit')
      return undefined;
    return { conversation: this.#current, text: writing.editor.text };
  }

  // Input.

  take(input: Input): void {
    if (input.type === 'focus') {
      this.#isFocused = input.isFocused;
      this.#changed();
      return;
    }
    this.#keyAtMs = this.#host.now();
    if (input.type === 'key') this.#key(input.name);
    else if (input.type === 'text') this.#typed(input.text);
    else this.#pasted(input.text);
    this.#changed(true);
  }

  #typed(text: string): void {
    if (this.#isAltNext) {
      this.#isAltNext = false;
      this.#key(`alt-${text[0]?.toLowerCase() ?? ''}`);
      if (text.length > 1) this.#typed(text.slice(1));
      return;
    }
    const over = this.#over;
    if (over?.kind === 'ask') {
      this.#over = undefined;
      if (text === 'y') over.yes();
    } else if (over?.kind === 'switcher') over.switcher.type(text);
    else if (over?.kind === 'page') this.#over = undefined;
    else if (this.#selected !== undefined) {
      for (const letter of text) this.#obey(MESSAGE_ACTIONS, letter);
    } else this.type(text);
  }

  #pasted(text: string): void {
    const over = this.#over;
    if (over?.kind === 'switcher') over.switcher.type(text);
    if (over !== undefined) return;
    this.#selected = undefined;
    this.type(text);
    if (text.split('\n').length > FOLD_LINES) this.#writing().isFolded = true;
  }

  #key(name: string): void {
    if (this.#isAltNext) {
      this.#isAltNext = false;
      this.#key(`alt-${name}`);
      return;
    }
    if (this.#over !== undefined && this.#keyOver(this.#over, name)) return;
    if (this.#completion !== undefined && this.#keyCompletion(this.#completion, name)) return;
    if (this.#selected !== undefined && this.#obey(MESSAGE_ACTIONS, name)) return;
    if (this.#obey(ACTIONS, name)) return;
    const writing = this.#writing();
    if (writing.editor.key(name)) this.#written(writing);
  }

  #obey(actions: readonly KeyAction[], name: string): boolean {
    const action = actions.find(({ keys }) => keys.includes(name));
    action?.run(this, name);
    return action !== undefined;
  }

  /** Returns whether the key was for what stands over the timeline. */
  #keyOver(over: Over, name: string): boolean {
    if (name === 'escape' || name === 'ctrl-c') {
      this.#over = undefined;
      return true;
    }
    if (over.kind === 'ask') {
      this.#over = undefined;
      return true;
    }
    if (over.kind === 'page') {
      const step = { up: -1, down: 1, pageup: 2 - this.#size.height, pagedown: this.#size.height - 2 }[name];
      if (step === undefined) return false;
      over.top = Math.max(0, over.top + step);
      return true;
    }
    const { switcher } = over;
    if (name === 'backspace') switcher.back();
    else if (name === 'up' || name === 'ctrl-p' || name === 'shift-tab') switcher.move(-1);
    else if (name === 'down' || name === 'ctrl-n' || name === 'tab') switcher.move(1);
    else if (name === 'enter') {
      const { target } = switcher;
      this.#over = undefined;
      if (target?.kind === 'conversation') this.goTo(target.id);
      else if (target !== undefined) this.#command(target.line);
    } else return false;
    return true;
  }

  #keyCompletion(completion: Completion, name: string): boolean {
    const { choices, selected } = completion;
    const by = { tab: 1, down: 1, 'shift-tab': -1, up: -1 }[name];
    if (by !== undefined) {
      this.#completion = { ...completion, selected: (selected + by + choices.length) % choices.length };
      return true;
    }
    this.#completion = undefined;
    if (name === 'enter') this.#complete(completion, choices[selected]?.insert ?? completion.typed);
    return name === 'enter' || name === 'escape';
  }

  #complete({ from }: Completion, insert: string): void {
    const writing = this.#writing();
    const { text, before } = writing.editor;
    writing.editor.set(text.slice(0, from) + insert + text.slice(before.length), from + insert.length);
    this.#written(writing);
  }

  // Actions.

  type(text: string): void {
    const writing = this.#writing();
    this.#completion = undefined;
    writing.editor.insert(text);
    this.#written(writing);
  }

  enter(): void {
    const writing = this.#writing();
    const { editor, mode } = writing;
    const text = editor.text.replace(UNSENDABLE, '');
    writing.isFolded = false;
    if (text.startsWith('/') && !text.startsWith('//') && mode === undefined) {
      if (text.includes('\n')) {
        this.#show([texts.oneLine], true);
        return;
      }
      if (SECRET.test(text)) editor.set('');
      else editor.take();
      this.#written(writing);
      this.#command(text);
      return;
    }
    if (text.trim() === '') return;
    if (this.#current === undefined) {
      this.#show([texts.noConversation], true);
      return;
    }
    const said = text.startsWith('//') ? text.slice(1) : text;
    const timeline = this.#model.timeline(this.#current);
    editor.take();
    writing.mode = undefined;
    if (mode?.kind === 'edit') timeline.edit(targetOf(mode.item), said);
    else timeline.send(said, mode?.item.message.seq);
    this.#model.drafts.set(this.#current, '');
    this.#scroll.toNewest();
  }

  tab(): void {
    const { editor } = this.#writing();
    if (editor.isEmpty) {
      this.choose();
      return;
    }
    const completion = completionsOf(editor.before, this.#model, this.#current);
    const only = completion?.choices.length === 1 ? completion.choices[0] : undefined;
    if (completion !== undefined && only !== undefined) this.#complete(completion, only.insert);
    else this.#completion = completion;
  }

  escape(): void {
    const writing = this.#writing();
    if (this.#notice !== undefined) this.#hideNotice();
    else if (this.#selected !== undefined) this.#selected = undefined;
    else if (writing.isFolded) {
      writing.isFolded = false;
      writing.editor.key('ctrl-_');
    } else if (writing.mode !== undefined) {
      if (writing.mode.kind === 'edit') writing.editor.set('');
      writing.mode = undefined;
    } else this.scrollToNewest();
  }

  clear(): void {
    const writing = this.#writing();
    this.#selected = undefined;
    if (!writing.editor.isEmpty) {
      writing.editor.take();
      writing.mode = undefined;
      writing.isFolded = false;
      this.#written(writing);
      return;
    }
    const now = this.#host.now();
    if (now - this.#quitAtMs < QUIT_MS) this.#host.quit('quit');
    this.#quitAtMs = now;
    const waiting = this.#waiting();
    this.#show([...(waiting > 0 ? [texts.unsent(waiting)] : []), texts.quitTwice], false);
  }

  suspend(): void {
    this.#host.suspend();
  }

  redraw(): void {
    this.#host.redraw();
  }

  prefixAlt(): void {
    this.#isAltNext = true;
  }

  goTo(conversation: string): void {
    if (conversation === this.#current) return;
    this.#previous = this.#current;
    this.#current = conversation;
    this.#selected = undefined;
    this.#isKeptUnread = false;
    this.#completion = undefined;
    this.#scroll = new Scroll();
    const row = this.#model.conversations.get(conversation);
    const unread = row?.unread ?? 0;
    this.#unread = undefined;
    if (row !== undefined && unread > 0)
      this.#unread = {
        afterSeq: row.readSeq,
        text: texts.unreadSince(countText(unread), timeOf(row.activeAtMs)),
      };
    this.#isEntering = unread > 0;
    const timeline = this.#model.timeline(conversation);
    if (timeline.state === 'empty') void timeline.jump(unread > MANY_UNREAD ? { firstUnread: true } : {});
    this.#follow(conversation);
    if (this.#model.members(conversation).members.length === 0) void this.#model.members(conversation).more();
    const writing = this.#writing();
    if (writing.editor.isEmpty) writing.editor.set(this.#model.drafts.get(conversation));
    this.#changed(true);
  }

  goUnread(): void {
    const next = this.#model.conversations
      .rows()
      .filter((row) => row.unread > 0 && row.id !== this.#current && !isMuted(row, this.#host.now()))
      .toSorted((a, b) => (a.kind === b.kind ? 0 : a.kind === 'direct' ? -1 : 1))[0];
    if (next === undefined) this.#show([texts.noUnread], false);
    else this.goTo(next.id);
  }

  goNumber(number: number): void {
    const conversation = this.#numbers.at(number);
    if (conversation !== undefined) this.goTo(conversation);
  }

  goBack(): void {
    if (this.#previous !== undefined) this.goTo(this.#previous);
  }

  goBy(by: number): void {
    const rows = ordered(this.#model, this.#host.now()).flatMap(([, section]) => section);
    if (rows.length === 0) return;
    const at = rows.findIndex(({ id }) => id === this.#current) + by;
    this.goTo((rows[(at + rows.length) % rows.length] as ConversationRow).id);
  }

  openSwitcher(): void {
    this.#over = { kind: 'switcher', switcher: new Switcher(this.#model, this.#numbers) };
  }

  openHelp(): void {
    const line = ({ shown, help }: KeyAction) => `${shown.padEnd(18)}${help}`;
    const lines = [...ACTIONS.map(line), '', texts.backToWriting, ...MESSAGE_ACTIONS.map(line)];
    this.#over = { kind: 'page', title: [texts.keys, texts.keysHint], lines: () => lines, top: 0 };
  }

  openMembers(): void {
    const row = this.#row();
    if (row === undefined) return;
    const members = this.#model.members(row.id);
    void members.more();
    const lines = () =>
      members.members.map(({ name, displayName, role, online }) => {
        const shown = displayName === name ? '' : `  @${name}`;
        return `${online ? '◉' : '◌'} ${visibleLine(displayName)}${shown}  ${role === 'member' ? '' : role}`;
      });
    const count = this.#model.watching.members(row.id) ?? members.count;
    this.#over = {
      kind: 'page',
      title: [texts.inRoom(titleOf(row), count), texts.pageHint],
      lines,
      top: 0,
    };
    members.subscribe(() => this.#changed());
  }

  toggleSidebar(): void {
    this.#isSidebarHidden = !this.#isSidebarHidden;
  }

  page(by: number): void {
    this.#scroll.by(by * Math.max(1, this.#lines - 2), this.#placed, this.#lines);
  }

  scrollToOldest(): void {
    this.#scroll.by(-Infinity, this.#placed, this.#lines);
  }

  scrollToNewest(): void {
    this.#scroll.toNewest();
    const timeline = this.#timeline();
    if (timeline?.hasNewer === true) void timeline.jump();
  }

  scrollToUnread(): void {
    if (this.#placed.some(({ key }) => key === 'unread')) this.#scroll.to('unread', 2);
    else if (this.#unread !== undefined) {
      this.#isEntering = true;
      void this.#timeline()?.jump({ firstUnread: true });
    }
  }

  readAll(): void {
    this.#ask(texts.readAll, () => {
      for (const { id, lastSeq, unread } of this.#model.conversations.rows())
        if (unread > 0) this.#model.conversations.read(id, lastSeq);
    });
  }

  showBare(): void {
    const keys = new Set(this.#visible?.keys ?? []);
    const lines = this.#placed.flatMap(({ item, key }) => {
      if (item?.kind !== 'message' || !keys.has(key)) return [];
      const { from, atMs, text } = item.message;
      return visible(`${timeOf(atMs)} ${visibleLine(from)}: ${text}`).split('\n');
    });
    this.#host.bare([...lines, texts.bare]);
  }

  copyInput(): void {
    this.#copy(this.#writing().editor.text);
  }

  // A chosen message.

  choose(): void {
    this.chooseEnd(-1);
  }

  chooseEnd(at: 0 | -1): void {
    const keys = new Set(this.#visible?.keys ?? []);
    const items = this.#messages().filter(({ key }) => keys.has(key));
    this.#select((items.at(at) ?? this.#messages().at(at))?.key);
  }

  chooseBy(by: number): void {
    const items = this.#messages();
    const at = items.findIndex(({ key }) => key === this.#selected) + by;
    if (at >= 0 && at < items.length) this.#select(items[at]?.key);
  }

  reply(): void {
    const item = this.#chosen();
    if (item === undefined) return;
    if (item.state === 'failed') {
      this.#timeline()?.resend(item.message.clientMsgId);
      this.#selected = undefined;
      return;
    }
    if (item.message.seq === 0 || item.message.retraction !== undefined) return;
    this.#writing().mode = { kind: 'reply', item };
    this.#selected = undefined;
  }

  quote(): void {
    const item = this.#chosen();
    if (item === undefined) return;
    this.#selected = undefined;
    const quoted = item.message.text.split('\n').map((line) => `> ${line}`);
    this.type(`${quoted.join('\n')}\n`);
  }

  editChosen(): void {
    const item = this.#chosen();
    if (item === undefined || !item.isOwn || item.message.retraction !== undefined) return;
    this.#edit(item);
  }

  editLast(): void {
    const item = this.#timeline()?.lastOwn();
    if (item === undefined) this.#show([texts.nothingToEdit], true);
    else this.#edit(item);
  }

  copyChosen(): void {
    const item = this.#chosen();
    if (item !== undefined) this.#copy(item.message.text);
    this.#selected = undefined;
  }

  pin(): void {
    const item = this.#chosen();
    const timeline = this.#timeline();
    if (item === undefined || timeline === undefined || item.message.seq === 0) return;
    const { seq } = item.message;
    this.#selected = undefined;
    this.#try(async () => {
      if (timeline.pinned() === undefined) await timeline.loadPins();
      timeline.pin(seq, timeline.pinned()?.some((pin) => pin.seq === seq) !== true);
    });
  }

  unreadFrom(): void {
    const item = this.#chosen();
    const conversation = this.#current;
    if (item === undefined || conversation === undefined || item.message.seq === 0) return;
    this.#selected = undefined;
    this.#isKeptUnread = true;
    this.#try(() => this.#model.conversations.unread(conversation, item.message.seq));
  }

  info(): void {
    const item = this.#chosen();
    if (item !== undefined && item.message.seq > 0) this.#command(`/readers ${item.message.seq}`);
  }

  retract(): void {
    const item = this.#chosen();
    const timeline = this.#timeline();
    if (item === undefined || timeline === undefined || item.message.retraction !== undefined) return;
    this.#selected = undefined;
    if (item.state === 'failed') this.#restore(timeline.discard(item.message.clientMsgId));
    else this.#ask(texts.retractThis, () => timeline.retract(targetOf(item)));
  }

  // Frames.

  frame(): Frame {
    const size = this.#size;
    const now = this.#host.now();
    this.#numbers.learn(this.#model.conversations.rows());
    this.#begin();
    const layout = layoutOf(size, this.#isSidebarHidden);
    const writing = this.#writing();
    const mode = this.#mode(writing);
    const input = this.#input(writing, layout);
    const lines = timelineHeight({ mode, input }, size, layout);
    this.#lines = lines;
    const view: ChatView = {
      sidebar: sidebarOf(this.#model, this.#numbers, this.#current, now),
      title: this.#title(),
      timeline: this.#timelineRows(layout, lines),
      over: this.#overRows(layout, lines),
      popup:
        this.#over?.kind === 'switcher' ? this.#over.switcher.draw(size.width, size.height - 3) : undefined,
      status: this.#status(now),
      mode,
      input,
    };
    const drawn = this.#page(size) ?? drawChat(view, size, layout);
    this.#watch();
    this.#readLater();
    return { rows: drawn.rows, cursor: drawn.cursor, title: this.#windowTitle() };
  }

  #page(size: Size): Drawn | undefined {
    const over = this.#over;
    if (over?.kind !== 'page') return undefined;
    const lines = over.lines();
    over.top = Math.max(0, Math.min(over.top, lines.length - size.height + 1));
    return { rows: drawPage(over.title, lines, over.top, size), cursor: { x: 0, y: 0 } };
  }

  /** Goes to a conversation where there is one and none was chosen. */
  #begin(): void {
    const { conversations } = this.#model;
    if (
      this.#current !== undefined &&
      conversations.isLoaded &&
      conversations.get(this.#current) === undefined
    )
      this.#current = undefined;
    if (this.#current !== undefined || this.#previous !== undefined) return;
    const first = conversations.isLoaded ? conversations.rows()[0] : undefined;
    if (first !== undefined && this.#keyAtMs > 0) this.goTo(first.id);
  }

  #timelineRows({ timeline: width }: Layout, lines: number): readonly Row[] {
    const conversation = this.#current;
    const timeline = this.#timeline();
    if (conversation === undefined || timeline === undefined)
      return this.#model.conversations.isLoaded ? [textRow(` ${texts.noConversation}`, width)] : [];
    const items = timeline.items();
    const placed = this.#itemRows.place(items, {
      model: this.#model,
      conversation,
      width,
      selected: this.#selected,
      unread: this.#unread,
    });
    if (timeline.hasOlder)
      placed.unshift({ item: undefined, key: 'older', rows: [textRow(` ${texts.older}`, width)] });
    else if (timeline.state === 'ready' && items.length === 0)
      placed.push({ item: undefined, key: 'empty', rows: [textRow(` ${texts.nothingHere}`, width)] });
    if (this.#isEntering && timeline.state === 'ready') this.#enter(placed, lines);
    if (this.#selected !== undefined) this.#scroll.reveal(this.#selected, placed, lines);
    const shown = this.#scroll.visible(placed, lines, !timeline.hasNewer);
    this.#placed = placed;
    this.#visible = shown;
    this.#fetchMore(timeline, placed, shown, lines);
    if (shown.isNewest || shown.below === 0) return shown.rows;
    return [...shown.rows.slice(0, lines - 1), rule(texts.newer(String(shown.below)), width)];
  }

  /** Shows the newest if all unread fits, else the unread line on the third row. */
  #enter(placed: readonly Placed[], lines: number): void {
    this.#isEntering = false;
    const at = placed.findIndex(({ key }) => key === 'unread');
    if (at === -1) return;
    const below = placed.slice(at).reduce((sum, { rows }) => sum + rows.length, 0);
    if (below > lines) this.#scroll.to('unread', 2);
  }

  #mode({ mode, isFolded, editor }: Writing): Mode | undefined {
    if (isFolded) {
      const { text } = editor;
      const size = `${(Buffer.byteLength(text) / 1000).toFixed(1)} kB`;
      return { text: texts.pasted(text.split('\n').length, size), hint: texts.escOut };
    }
    if (mode === undefined) return undefined;
    const { from, text, atMs } = mode.item.message;
    if (mode.kind === 'edit') return { text: texts.editing(timeOf(atMs)), hint: `${texts.escCancels} ` };
    return { text: texts.replyTo(from, cut(lineOf(text, this.#model), 60)), hint: 'Esc ' };
  }

  #input({ editor, isFolded }: Writing, { maxInput }: Layout): InputView {
    const { text, before } = editor;
    const lines = text.split('\n').length;
    const hint = this.#selected !== undefined ? `       ${texts.backToWriting}` : '';
    const prompt = `[${this.#model.status.self?.displayName ?? ''}]`;
    const fold = isFolded ? texts.moreLines(lines - 2) : undefined;
    // Drawing costs as much as what is drawn.
    const shown = isFolded
      ? text
          .split('\n', maxInput + 2)
          .join('\n')
          .slice(0, 4_000)
      : text;
    const more = lines > 1 && !isFolded && maxInput > 2 ? `       ${texts.lines(lines)}` : '';
    return {
      prompt,
      text: shown,
      cursor: Math.min(before.length, shown.length),
      hint: hint === '' ? more : hint,
      fold,
    };
  }

  #overRows({ timeline: width }: Layout, height: number): Row[] {
    if (this.#over?.kind === 'ask') return drawNotice([texts.ask(this.#over.question)], width);
    if (this.#completion !== undefined) {
      const { typed, choices, selected } = this.#completion;
      const shown = choices.map((choice) => choice.shown);
      return drawCompletions(visibleLine(typed), shown, selected, { width, height: Math.min(height, 8) });
    }
    if (this.#notice !== undefined) {
      const { lines, isError } = this.#notice;
      return drawNotice(lines, width, { hint: 'Esc', isError });
    }
    if (this.#selected === undefined) return [];
    const actions = MESSAGE_ACTIONS.map(({ shown, help }) => `${shown} ${help}`);
    const half = Math.ceil(actions.length / 2);
    return [actions.slice(0, half), actions.slice(half)].map((part) => textRow(part.join('  '), width));
  }

  #title(): ChatView['title'] {
    const row = this.#row();
    if (row === undefined) return { name: '', topic: '', right: '' };
    const members = row.kind === 'room' ? this.#model.watching.members(row.id) : undefined;
    const isOffline = this.#model.status.link !== 'online';
    const pins = this.#timeline()?.pinned()?.length ?? 0;
    return {
      name: titleOf(row),
      topic: members === undefined ? '' : texts.members(members),
      right: isOffline ? texts.offlineCopy : pins > 0 ? texts.pins(pins) : '',
    };
  }

  #status(now: number): StatusView {
    const { link, gateway, retryAtMs, sinceMs } = this.#model.status;
    const names = this.#current === undefined ? [] : this.#model.typing.names(this.#current);
    const typing =
      names.length === 0
        ? ''
        : names.length > 2
          ? texts.manyTyping(names.length)
          : texts.typing(names.join(', '));
    const unread = unreadElsewhere(this.#model, this.#numbers, this.#current, now);
    const rest = { typing, unread, help: texts.helpKey };
    if (link === 'online') return { link: ['on', `online ${gateway}`], isOffline: false, ...rest };
    if (link === 'connecting')
      return { link: [texts.connecting, texts.connecting], isOffline: false, ...rest };
    const waiting = this.#waiting();
    const parts = [
      texts.offlineFor(sinceMs === undefined ? '' : clock(now - sinceMs)),
      retryAtMs === undefined
        ? ''
        : retryAtMs > now
          ? texts.nextTry(Math.ceil((retryAtMs - now) / 1000))
          : texts.trying,
      waiting > 0 ? texts.queued(waiting) : '',
    ].filter((part) => part !== '');
    return { link: [parts[0] ?? '', parts.join(' · ')], isOffline: true, ...rest };
  }

  #windowTitle(): string {
    const unread = this.#model.conversations
      .rows()
      .filter((row) => row.unread > 0 && !isMuted(row, this.#host.now())).length;
    const row = this.#row();
    const name = row === undefined ? '' : `${titleOf(row)} - `;
    return cut(visibleLine(`${unread > 0 ? `(${unread}) ` : ''}${name}GoChat`).replaceAll(';', ','), 120);
  }

  // The model.

  #onEvent(event: ClientEvent): void {
    if (event.type === 'message') this.#ring(event.conversation, event.text);
    if (event.type === 'failed') this.#show([event.message], true);
    if (event.type === 'error') this.#show([event.message], true);
    this.#changed();
  }

  #ring(conversation: string, text: string): void {
    const row = this.#model.conversations.get(conversation);
    const now = this.#host.now();
    const isWanted = row?.kind === 'direct' || text.includes(`<@${this.#model.me}>`);
    if (!isWanted || this.#isFocused !== false || now - this.#bellAtMs < BELL_MS) return;
    if (row !== undefined && isMuted(row, now)) return;
    this.#bellAtMs = now;
    this.#host.bell();
  }

  /** The countdown is the only thing that ticks. */
  #tick(): void {
    const isTicking = this.#model.status.link === 'offline';
    if (isTicking) this.#clock ??= setInterval(() => this.#changed(), 1_000);
    else {
      clearInterval(this.#clock);
      this.#clock = undefined;
    }
    this.#changed();
  }

  #followed: (() => void) | undefined;

  #follow(conversation: string): void {
    this.#followed?.();
    this.#followed = this.#model.timeline(conversation).subscribe(() => this.#changed());
  }

  #watch(): void {
    const peers = this.#model.conversations.rows().flatMap(({ peer }) => peer ?? []);
    if (this.#model.status.link !== 'online') return;
    this.#model.watching.show({
      conversations: this.#current === undefined ? [] : [this.#current],
      users: peers.slice(0, 100),
      idle: false,
    });
  }

  /** The newest on the screen, with somebody before it, is read after a while. */
  #readLater(): void {
    const row = this.#row();
    const isSeen =
      this.#visible?.isNewest === true && this.#timeline()?.state === 'ready' && this.#isAttentive();
    if (
      row === undefined ||
      !isSeen ||
      this.#isKeptUnread ||
      row.unread === 0 ||
      this.#readTimer !== undefined
    )
      return;
    this.#readTimer = setTimeout(() => {
      this.#readTimer = undefined;
      const now = this.#row();
      if (now?.id === row.id && this.#visible?.isNewest === true && this.#isAttentive())
        this.#model.conversations.read(row.id, now.lastSeq);
    }, READ_MS);
  }

  #isAttentive(): boolean {
    return this.#isFocused ?? this.#host.now() - this.#keyAtMs < ATTENTIVE_MS;
  }

  /** Fetches what comes into sight. */
  #fetchMore(
    timeline: ReturnType<Model['timeline']>,
    placed: readonly Placed[],
    shown: Visible,
    lines: number,
  ): void {
    if (shown.above < lines && timeline.hasOlder && timeline.error === undefined) void timeline.older();
    if (shown.below < lines && timeline.hasNewer && timeline.error === undefined) void timeline.newer();
    const seen = placed.filter(({ key }) => shown.keys.includes(key)).flatMap(({ item }) => item ?? []);
    const middle = seen[Math.floor(seen.length / 2)];
    if (middle !== undefined) timeline.view(Math.min(seqOf(middle), Number.MAX_SAFE_INTEGER), shown.isNewest);
  }

  // Helpers.

  #command(line: string): void {
    void runCommand(line, {
      client: this.#client,
      model: this.#model,
      current: () => this.#current,
      goTo: (conversation) => this.goTo(conversation),
      say: (text, replyTo) => {
        if (this.#current !== undefined) this.#model.timeline(this.#current).send(text, replyTo);
      },
      show: (lines, isError) => this.#show(lines, isError),
      end: (how) => this.#host.quit(how),
    });
  }

  #show(lines: readonly string[], isError: boolean): void {
    this.#hideNotice();
    if (lines.length > MAX_NOTICE_LINES)
      this.#over = { kind: 'page', title: [texts.answer, texts.pageHint], lines: () => lines, top: 0 };
    else {
      // Errors stay until Esc.
      const timer = isError ? undefined : setTimeout(() => this.#hideNotice(), NOTICE_MS);
      this.#notice = { lines, isError, timer };
    }
    this.#changed();
  }

  #hideNotice(): void {
    clearTimeout(this.#notice?.timer);
    this.#notice = undefined;
    this.#changed();
  }

  #ask(question: string, yes: () => void): void {
    this.#over = { kind: 'ask', question, yes };
  }

  #try(action: () => Promise<unknown>): void {
    action().catch((error: unknown) => this.#show([ClientError.from(error).message], true));
  }

  #copy(text: string): void {
    if (text === '') return;
    this.#host.copy(text);
    this.#show([texts.copied(text.length)], false);
  }

  #edit(item: MessageItem): void {
    const writing = this.#writing();
    this.#selected = undefined;
    writing.editor.keep(writing.editor.text);
    writing.mode = { kind: 'edit', item };
    writing.editor.set(item.message.text);
  }

  /** Gives a text back to the input where it is empty. */
  #restore(text: string): void {
    const writing = this.#writing();
    if (writing.editor.isEmpty) writing.editor.set(text);
  }

  #select(key: string | undefined): void {
    this.#selected = key;
  }

  #chosen(): MessageItem | undefined {
    return this.#messages().find(({ key }) => key === this.#selected);
  }

  #messages(): readonly MessageItem[] {
    const items: readonly TimelineItem[] = this.#timeline()?.items() ?? [];
    return items.filter((item): item is MessageItem => item.kind === 'message');
  }

  #writing(): Writing {
    const key = this.#current ?? '';
    const writing = this.#writings.get(key) ?? { editor: new Editor(), mode: undefined, isFolded: false };
    this.#writings.set(key, writing);
    return writing;
  }

  #written(writing: Writing): void {
    writing.isFolded = false;
    if (this.#current === undefined || writing.mode?.kind === 'edit') return;
    const { text } = writing.editor;
    const isText = !text.startsWith('/') || text.startsWith('//');
    this.#model.drafts.set(this.#current, isText ? text : '');
    if (isText && text !== '') this.#client.typing(this.#current);
  }

  /** Another device has written. */
  #takeDraft(): void {
    const writing = this.#writing();
    if (this.#current !== undefined && writing.editor.isEmpty && writing.mode === undefined)
      writing.editor.set(this.#model.drafts.get(this.#current));
    this.#changed();
  }

  #timeline() {
    return this.#current === undefined ? undefined : this.#model.timeline(this.#current);
  }

  #row(): ConversationRow | undefined {
    return this.#current === undefined ? undefined : this.#model.conversations.get(this.#current);
  }

  #waiting(): number {
    return this.#model.conversations.rows().length === 0 ? 0 : (this.#timeline()?.waiting ?? 0);
  }

  #changed(isUrgent = false): void {
    this.#host.changed(isUrgent);
  }
}

function titleOf({ kind, title }: ConversationRow): string {
  return kind === 'room' ? `#${title}` : title;
}

function targetOf({ message }: MessageItem): number | string {
  return message.seq > 0 ? message.seq : message.clientMsgId;
}

/** Minutes and seconds. */
function clock(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}
