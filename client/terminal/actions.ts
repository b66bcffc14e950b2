/** What keys do: one list for obeying them and for the help. */
/** What keys can make the screen do. */
export interface Obeys {
  goUnread(): void;
  goNumber(number: number): void;
  goBack(): void;
  openSwitcher(): void;
  goBy(by: number): void;
  scrollToUnread(): void;
  readAll(): void;
  page(by: number): void;
  scrollToOldest(): void;
  scrollToNewest(): void;
  toggleSidebar(): void;
  openMembers(): void;
  openHelp(): void;
  showBare(): void;
  redraw(): void;
  choose(): void;
  editLast(): void;
  copyInput(): void;
  enter(): void;
  type(text: string): void;
  tab(): void;
  escape(): void;
  clear(): void;
  suspend(): void;
  prefixAlt(): void;
  reply(): void;
  quote(): void;
  editChosen(): void;
  copyChosen(): void;
  pin(): void;
  unreadFrom(): void;
  info(): void;
  retract(): void;
  chooseBy(by: number): void;
  chooseEnd(at: 0 | -1): void;
}

export interface KeyAction {
  /** As the input names them; the first is shown. */
  readonly keys: readonly string[];
  /** As people write them. */
  readonly shown: string;
  readonly help: string;
  readonly run: (chat: Obeys, key: string) => void;
}

/** While one writes. */
export const ACTIONS: readonly KeyAction[] = [
  { keys: ['alt-a'], shown: 'Alt-A', help: 'next unread conversation', run: (chat) => chat.goUnread() },
  {
    keys: ['alt-1', 'alt-2', 'alt-3', 'alt-4', 'alt-5', 'alt-6', 'alt-7', 'alt-8', 'alt-9'],
    shown: 'Alt-1…9',
    help: 'conversation by its number',
    run: (chat, key) => chat.goNumber(Number(key.slice(-1))),
  },
  { keys: ['alt-/'], shown: 'Alt-/', help: 'back where you were', run: (chat) => chat.goBack() },
  { keys: ['ctrl-k'], shown: 'Ctrl-K', help: 'go anywhere', run: (chat) => chat.openSwitcher() },
  {
    keys: ['ctrl-n', 'alt-down'],
    shown: 'Ctrl-N Alt-↓',
    help: 'next conversation',
    run: (chat) => chat.goBy(1),
  },
  {
    keys: ['ctrl-p', 'alt-up'],
    shown: 'Ctrl-P Alt-↑',
    help: 'previous conversation',
    run: (chat) => chat.goBy(-1),
  },
  { keys: ['alt-u'], shown: 'Alt-U', help: 'to the unread line', run: (chat) => chat.scrollToUnread() },
  { keys: ['alt-h'], shown: 'Alt-H', help: 'mark everything read (asks)', run: (chat) => chat.readAll() },
  { keys: ['pageup'], shown: 'PgUp', help: 'page up', run: (chat) => chat.page(-1) },
  { keys: ['pagedown'], shown: 'PgDn', help: 'page down', run: (chat) => chat.page(1) },
  {
    keys: ['alt-home', 'ctrl-home'],
    shown: 'Alt-Home',
    help: 'oldest that is here',
    run: (chat) => chat.scrollToOldest(),
  },
  {
    keys: ['alt-end', 'ctrl-end'],
    shown: 'Alt-End',
    help: 'newest',
    run: (chat) => chat.scrollToNewest(),
  },
  { keys: ['f7'], shown: 'F7', help: 'sidebar', run: (chat) => chat.toggleSidebar() },
  { keys: ['f8'], shown: 'F8', help: 'members', run: (chat) => chat.openMembers() },
  { keys: ['f1'], shown: 'F1', help: 'this help', run: (chat) => chat.openHelp() },
  { keys: ['alt-l'], shown: 'Alt-L', help: 'bare, for copying', run: (chat) => chat.showBare() },
  { keys: ['ctrl-l'], shown: 'Ctrl-L', help: 'draw anew', run: (chat) => chat.redraw() },
  { keys: ['alt-v'], shown: 'Alt-V', help: 'choose a message', run: (chat) => chat.choose() },
  { keys: ['alt-e'], shown: 'Alt-E', help: 'edit your last message', run: (chat) => chat.editLast() },
  { keys: ['alt-y'], shown: 'Alt-Y', help: 'copy the input', run: (chat) => chat.copyInput() },
  { keys: ['enter'], shown: 'Enter', help: 'send', run: (chat) => chat.enter() },
  {
    keys: ['alt-enter', 'ctrl-j', 'shift-enter'],
    shown: 'Alt-Enter Ctrl-J',
    help: 'new line',
    run: (chat) => chat.type('\n'),
  },
  {
    keys: ['tab'],
    shown: 'Tab',
    help: 'complete; on empty input: choose a message',
    run: (chat) => chat.tab(),
  },
  { keys: ['escape'], shown: 'Esc', help: 'close, cancel, then newest', run: (chat) => chat.escape() },
  {
    keys: ['ctrl-c'],
    shown: 'Ctrl-C',
    help: 'clear the input; twice on empty: quit',
    run: (chat) => chat.clear(),
  },
  { keys: ['ctrl-z'], shown: 'Ctrl-Z', help: 'suspend', run: (chat) => chat.suspend() },
  { keys: ['ctrl-x'], shown: 'Ctrl-X KEY', help: 'is Alt-KEY', run: (chat) => chat.prefixAlt() },
];

/** While a message is chosen. */
export const MESSAGE_ACTIONS: readonly KeyAction[] = [
  { keys: ['r', 'enter'], shown: 'r', help: 'reply', run: (chat) => chat.reply() },
  { keys: ['>'], shown: '>', help: 'quote', run: (chat) => chat.quote() },
  { keys: ['e'], shown: 'e', help: 'edit', run: (chat) => chat.editChosen() },
  { keys: ['y'], shown: 'y', help: 'copy', run: (chat) => chat.copyChosen() },
  { keys: ['p'], shown: 'p', help: 'pin', run: (chat) => chat.pin() },
  { keys: ['u'], shown: 'u', help: 'unread', run: (chat) => chat.unreadFrom() },
  { keys: ['i'], shown: 'i', help: 'who read', run: (chat) => chat.info() },
  { keys: ['d'], shown: 'd', help: 'take back', run: (chat) => chat.retract() },
  { keys: ['j', 'down'], shown: 'j', help: 'next', run: (chat) => chat.chooseBy(1) },
  { keys: ['k', 'up'], shown: 'k', help: 'previous', run: (chat) => chat.chooseBy(-1) },
  { keys: ['g'], shown: 'g', help: 'first', run: (chat) => chat.chooseEnd(0) },
  { keys: ['G'], shown: 'G', help: 'last', run: (chat) => chat.chooseEnd(-1) },
];
