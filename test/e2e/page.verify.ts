/** The page in a real Chromium: servers that die, a network that is cut, hostile texts, the keyboard alone, each view. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core';
import { expectAccessible } from '../harness/accessible.ts';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { controlNetwork, enterDemo, launchBrowser, type WatchedPage, watchPage } from '../harness/browser.ts';
import { startCluster } from '../harness/cluster.ts';
import { eventually } from '../harness/eventually.ts';
import { Client, signup, startUp } from '../harness/gochat.ts';
import { freePorts } from '../harness/services.ts';

let browser: Browser;
let up: Awaited<ReturnType<typeof startUp>>;
const data = mkdtempSync(join(tmpdir(), 'gochat-page-'));

beforeAll(async () => {
  [up, browser] = await Promise.all([startUp(data), launchBrowser()]);
});

afterAll(async () => {
  await browser.close();
  await up[Symbol.asyncDispose]();
  rmSync(data, { recursive: true, force: true });
});

interface Place {
  readonly api: string;
}

/** Signs in on a page of its own, with a password of `signup`. */
async function enter(place: Place, name: string, options: BrowserContextOptions = {}): Promise<WatchedPage> {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 },
    locale: 'en-GB',
    // Colours are judged when they have arrived.
    reducedMotion: 'reduce',
    ...options,
  });
  onTestFinished(() => context.close());
  const watched = await watchPage(context, place.api);
  const { page } = watched;
  await page.goto(place.api);
  await page.getByLabel('Handle').fill(name);
  await page.getByLabel('Password', { exact: true }).fill(`${name}-secret`);
  await page.keyboard.press('Enter');
  await page.getByRole('navigation', { name: 'Conversations' }).waitFor({ state: 'attached' });
  return watched;
}

async function createRoom(page: Page, name: string): Promise<void> {
  await page.getByRole('button', { name: 'New room' }).click();
  await page.getByLabel('Name of the room').fill(name);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name, level: 1 }).waitFor();
}

async function joinRoom(page: Page, name: string): Promise<void> {
  await page.keyboard.press('Control+k');
  await page.getByRole('combobox').fill(name);
  await page.getByRole('option', { name: `Join #${name}` }).click();
  await page.getByRole('heading', { name, level: 1 }).waitFor();
}

async function write(page: Page, text: string): Promise<void> {
  await page.getByRole('textbox', { name: /^Message / }).fill(text);
  await page.keyboard.press('Enter');
}

function message(page: Page, text: string): Locator {
  return page.getByRole('log').getByRole('article').filter({ hasText: text });
}

async function choose(page: Page, text: string, action: string): Promise<void> {
  await message(page, text).click({ button: 'right' });
  await page.getByRole('menuitem', { name: action }).click();
}

/** Texts of the messages, as they stand. */
function texts(page: Page): Promise<string[]> {
  return page.getByRole('log').locator('.body, .gone').allInnerTexts();
}

test('two pages and a line client, while servers die and the network is cut: nothing missing, nothing twice', async () => {
  await using cluster = await startCluster({ gateways: 2, states: 2 });
  await Promise.all(['ann', 'bob', 'line'].map((name) => signup(cluster, name)));
  const [a, b] = await Promise.all([enter(cluster, 'ann'), enter(cluster, 'bob')]);
  const [ann, bob] = [a.page, b.page];
  const network = await controlNetwork(bob.context());
  await bob.reload();
  await createRoom(ann, 'quay');
  await joinRoom(bob, 'quay');
  await using line = new Client(cluster, 'line', undefined, ['--device', 'one']);
  line.say('/join quay');
  await line.event('joined');

  await write(ann, 'one');
  await message(bob, 'one').waitFor();
  await write(bob, 'two');
  await message(ann, 'two').waitFor();
  line.say('three');
  for (const page of [ann, bob])
    await expect.poll(() => texts(page)).toEqual(expect.arrayContaining(['one', 'two', 'three']));
  await choose(bob, 'one', 'Reply');
  await write(bob, 'answer');
  await message(ann, 'answer').locator('.quote').getByText('one').waitFor();
  await choose(ann, 'answer', 'Pin');
  await bob.getByRole('button', { name: 'Pinned messages' }).click();
  await bob.getByRole('complementary').getByText('answer').waitFor();
  await bob.keyboard.press('Escape');

  // A gateway and a state node die; each page goes on.
  cluster.gateways[0]?.process.signal('SIGKILL');
  await write(ann, 'while a gateway is down');
  await message(bob, 'while a gateway is down').waitFor();
  cluster.states[0]?.process.signal('SIGKILL');
  await write(bob, 'while a state node is down');
  await message(ann, 'while a state node is down').waitFor();

  // The network is cut, and what is written meanwhile survives a reload.
  await network.cut();
  await bob.getByText('Offline.').waitFor();
  await write(bob, 'in the tunnel');
  await ann.bringToFront();
  await choose(ann, 'two', 'Copy text');
  await write(ann, 'hello?');
  await ann.getByRole('textbox', { name: /^Message / }).press('ArrowUp');
  await ann.getByRole('textbox', { name: 'Editing' }).fill('hello, bob?');
  await ann.keyboard.press('Enter');
  network.restore();
  await bob.reload();
  await message(ann, 'in the tunnel').waitFor();
  await choose(bob, 'in the tunnel', 'Remove');
  await bob.getByRole('button', { name: 'Remove' }).last().click();
  await message(ann, 'removed this message').waitFor();

  const expected = [
    'one',
    'two',
    'three',
    'answer',
    'while a gateway is down',
    'while a state node is down',
    'hello, bob? (edited)',
  ];
  for (const page of [ann, bob])
    await expect
      .poll(async () =>
        (await texts(page)).filter((text) => !text.includes('removed')).map((text) => text.trim()),
      )
      .toEqual(expected);
  line.end();
  await line.exit();
  // Connections that end are no faults of the page.
  const faults = [...a.wrong, ...b.wrong].filter(
    (text) => !/WebSocket|ERR_CONNECTION|Failed to load/.test(text),
  );
  expect(faults).toEqual([]);
});

describe('views', () => {
  const schemes = ['light', 'dark'] as const;
  test.each(schemes)('%s: axe finds nothing serious on any of them', async (colorScheme) => {
    const name = `axe-${colorScheme}`;
    await signup(up, name);
    await signup(up, `${name}-peer`);
    const { page, wrong } = await enter(up, name, { colorScheme });
    await page.getByText('Good to have you here').waitFor();
    await expectAccessible(page);
    await createRoom(page, `${name}-room`);
    await write(page, 'Some *text* with `code`, a [link](https://a.example/), and\n> a quote\n- a list');
    await write(page, '```\nblock\n```');
    await page.getByRole('img', { name: 'Sent' }).waitFor();
    await choose(page, 'block', 'Reply');
    await expectAccessible(page);
    await write(page, 'answer');
    await page.getByRole('button', { name: 'Members' }).click();
    await page.getByText(`@${name}`).waitFor();
    await expectAccessible(page);
    await page.getByRole('button', { name: 'Pinned messages' }).click();
    await page.getByText('Nothing is pinned').waitFor();
    await expectAccessible(page);
    await message(page, 'answer').click({ button: 'right' });
    await expectAccessible(page);
    await page.getByRole('menuitem', { name: 'Remove' }).click();
    await expectAccessible(page);
    await page.getByRole('button', { name: 'Remove' }).last().click();
    await page.getByText('removed this message').waitFor();
    await expectAccessible(page);
    for (const open of ['Settings', 'New room', 'New conversation']) {
      await page.getByRole('button', { name: open }).click();
      await page.getByRole('dialog').waitFor();
      if (open === 'Settings') await page.getByText('this one').waitFor();
      await expectAccessible(page);
      await page.keyboard.press('Escape');
      await page.getByRole('dialog').waitFor({ state: 'detached' });
    }
    expect(wrong).toEqual([]);
  });

  test('a phone of 320 px: nothing is wider than the screen', async () => {
    await signup(up, 'phone');
    const viewport = { width: 320, height: 640 };
    const { page } = await enter(up, 'phone', { viewport, isMobile: true, hasTouch: true });
    const width = () => page.locator('html').evaluate(({ scrollWidth }) => scrollWidth);
    expect(await width()).toBe(320);
    await createRoom(page, 'a-room-with-a-name-too-long');
    await write(page, 'averyveryverylongwordwithoutanyspacethatmustbreaksomewhereinthemiddleofit');
    await page.getByRole('img', { name: 'Sent' }).waitFor();
    expect(await width()).toBe(320);
    await page.getByRole('button', { name: 'Conversations' }).click();
    await page.getByRole('link', { name: /a-room/ }).waitFor();
    await expectAccessible(page);
  });

  test('German: a second language is there, and is kept', async () => {
    await signup(up, 'deutsch');
    const { page } = await enter(up, 'deutsch');
    await page.getByRole('button', { name: 'Settings' }).click();
    await page.getByText('Deutsch', { exact: true }).click();
    await page.getByText('Privatsphäre').waitFor();
    await page.reload();
    await page.getByText('Schön, dass du da bist').waitFor();
    expect(await page.locator('html').getAttribute('lang')).toBe('de');
  });
});

test('the keyboard alone: a room, a message, an answer, an edit, a removal, members, settings', async () => {
  await signup(up, 'keys');
  const { page, wrong } = await enter(up, 'keys');
  await page.getByText('Good to have you here').waitFor();
  const press = async (...keys: readonly string[]) => {
    for (const key of keys) await page.keyboard.press(key);
  };
  await press('Control+k');
  await page.getByRole('combobox').waitFor();
  await page.keyboard.type('create a');
  await press('Enter');
  await page.getByLabel('Name of the room').waitFor();
  await page.keyboard.type('keyboard');
  await press('Enter');
  await page.getByRole('textbox', { name: 'Message #keyboard' }).waitFor();
  await page.keyboard.type('one');
  await press('Enter');
  await page.getByRole('img', { name: 'Sent' }).waitFor();
  await press('ArrowUp');
  await page.getByText('Editing a message').waitFor();
  await page.keyboard.type(', edited');
  await press('Enter');
  await message(page, 'one, edited').waitFor();
  // From the composer back to the timeline, and the menu of the message.
  await press('Shift+F6', 'ArrowUp', 'ArrowDown');
  await page.locator('.msg:focus').waitFor();
  await press('r');
  await page.getByText('Replying to').waitFor();
  await page.keyboard.type('answer');
  await press('Enter');
  await message(page, 'answer').waitFor();
  await message(page, 'answer').focus();
  await press('Enter');
  await page.getByRole('menu').waitFor();
  await press('End', 'ArrowUp', 'Enter');
  await page.getByRole('dialog').waitFor();
  await press('Enter');
  await page.getByText('removed this message').waitFor();
  await press('Control+k');
  await page.keyboard.type('sett');
  await press('Enter');
  await page.getByLabel('Display name').waitFor();
  await press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  expect(wrong).toEqual([]);
});

test('the accessibility tree of the timeline: a log of articles, each with its author, time and text', async () => {
  await signup(up, 'tree');
  const { page } = await enter(up, 'tree');
  await createRoom(page, 'tree-room');
  await write(page, '**bold** and plain');
  await page.getByRole('img', { name: 'Sent' }).waitFor();
  const log = page.getByRole('log', { name: 'Messages in #tree-room' });
  expect(await log.ariaSnapshot()).toMatch(
    /log "Messages in #tree-room"[\s\S]*- heading "Today" \[level=2\][\s\S]*article "tree, \d\d:\d\d: bold and plain"[\s\S]*- paragraph:[\s\S]*- strong: bold/,
  );
});

/** Texts, names and titles that would do harm if they were more than text. */
const HOSTILE = [
  '<script>window.hit = 1</script>',
  '<img src=x onerror="window.hit = 1">',
  '<svg/onload=window.hit=1>',
  '[a](javascript:window.hit=1)',
  '[a](data:text/html,<script>window.hit=1</script>)',
  '<javascript:window.hit=1>',
  '![x](https://evil.example/pixel.png)',
  '[x](https://evil.example/" onmouseover="window.hit=1)',
  '<iframe srcdoc="<script>parent.hit=1</script>"></iframe>',
  '<link rel=stylesheet href=https://evil.example/x.css>',
  '<style>*{background:url(https://evil.example/x)}</style>',
  '{{constructor.constructor("window.hit=1")()}}',
  '${window.hit=1}',
  '<a href="javascript:window.hit=1">x</a>',
  '\u202eevil\u202c',
  '`__proto__`',
];

test('hostile texts, names and titles: are text; nothing runs, and no other host is asked', async () => {
  await signup(up, 'victim');
  await signup(up, 'attacker');
  const { page, wrong } = await enter(up, 'victim');
  await createRoom(page, 'corpus');
  await using line = new Client(up, 'attacker', undefined, []);
  await line.event('connected');
  line.say('/join corpus');
  await line.event('joined');
  for (const text of HOSTILE) line.say(text);
  line.say('the end');
  await message(page, 'the end').waitFor();
  const shown = await page.getByRole('log').innerText();
  for (const text of HOSTILE.filter((each) => !each.startsWith('[x]') && !each.startsWith('!['))) {
    if (!text.startsWith('\u202e')) expect(shown).toContain(text.replaceAll('`', ''));
  }
  // A name, too.
  await page.getByRole('button', { name: 'Settings' }).click();
  await page.getByLabel('Display name').fill('<img src=x onerror="window.hit=1">');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Changed.').waitFor();
  await page.keyboard.press('Escape');
  await write(page, 'by a hostile name');
  await message(page, 'by a hostile name').locator('.name').getByText('<img src=x').waitFor();
  for (const link of await page.getByRole('log').getByRole('link').all())
    expect(await link.getAttribute('href')).toMatch(/^(https?:|mailto:|\/r\/)/);
  expect(await page.evaluate(() => (globalThis as { hit?: unknown }).hit)).toBeUndefined();
  line.end();
  await line.exit();
  expect(wrong).toEqual([]);
});

test('pages of history above what one reads: it does not move by a pixel', async () => {
  await signup(up, 'reader');
  await signup(up, 'writer');
  await using line = new Client(up, 'writer', undefined, []);
  line.say('/create archive');
  await line.event('joined');
  for (let i = 1; i <= 1_500; i++) line.say(`message ${i} ${'word '.repeat(i % 40)}`);
  await eventually('all are sent', () => line.events.filter(({ event }) => event === 'sent').length >= 1_500);
  line.end();
  await line.exit();
  const { page } = await enter(up, 'reader');
  await joinRoom(page, 'archive');
  await page.getByText(/message 1500/).waitFor();
  const moved = await page.locator('.timeline').evaluate(async (view) => {
    const frame = () =>
      new Promise((resolve) => view.ownerDocument.defaultView?.requestAnimationFrame(resolve));
    const topOf = (row: { getBoundingClientRect(): { top: number } }) => row.getBoundingClientRect().top;
    const isWhole = () => view.querySelector('.beginning') !== null;
    const firstSeq = () => view.querySelector('.msg')?.getAttribute('data-seq');
    const moves: number[] = [];
    while (!isWhole() && moves.length < 200) {
      view.scrollTop = Math.min(view.scrollTop, 300);
      await frame();
      const read = [...view.querySelectorAll('.msg')].find(
        (row) => row.getBoundingClientRect().bottom > topOf(view),
      );
      if (read === undefined) break;
      const [before, first] = [topOf(read), firstSeq()];
      for (let i = 0; i < 120 && firstSeq() === first && !isWhole(); i++) await frame();
      if (read.isConnected) moves.push(Math.abs(topOf(read) - before));
    }
    return { pages: moves.length, most: Math.max(...moves) };
  });
  expect(moved.pages).toBeGreaterThan(20);
  expect(moved.most).toBe(0);
});

test('page_gateways: the page asks for gateways, and connects to one of them rather than to its own server', async () => {
  const [port] = await freePorts(1);
  const gateways = ['--ws-port', String(port), '--page-gateways', `ws://127.0.0.1:${port}`];
  const folder = mkdtempSync(join(tmpdir(), 'gochat-page-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  await using other = await startUp(folder, gateways);
  const context = await browser.newContext({ locale: 'en-GB' });
  onTestFinished(() => context.close());
  const { page, wrong } = await watchPage(context, other.api);
  const opened: string[] = [];
  page.on('websocket', (socket) => opened.push(socket.url()));
  await enterDemo(page, other.api, 'demo');
  await createRoom(page, 'gateways');
  expect(opened).toEqual([`ws://127.0.0.1:${port}/ws`]);
  expect(wrong).toEqual([]);
});
