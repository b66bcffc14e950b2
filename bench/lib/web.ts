/**
 * The page in a real Chromium, without a GPU: how much it loads, how soon its list is usable, how busy the browser's main
 * thread is in a room that others write to, and how soon a key shows.
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { CDPSession, Page } from 'playwright-core';
import { GochatClient, type Sent, tcpTransport } from '../../client/mod.ts';
import { launchBrowser } from '../../test/harness/browser.ts';
import { Child, ROOT } from './child.ts';
import type { Findings, StudyContext } from './study.ts';

const CONVERSATIONS = 1_000;
const ROOM_MESSAGES = 10_000;
const PER_S = 100;
const SECONDS = 15;
const FLOOD = 100_000;
const PASSWORD = '111111';
/** Goals of the issue. */
const FIRST_SCREEN_BYTES = 100_000;
const LIST_MS = 300;
const BUSY = 0.35;
const LONGEST_TASK_MS = 50;
const KEY_P99_MS = 50;
const HEAP_SHARE = 0.1;

export async function web({ folder, quick, notMet }: StudyContext): Promise<Findings> {
  const ports = ['gateway', 'ws', 'ipconf', 'api', 'admin'].flatMap((name) => [`--${name}-port`, '0']);
  const args = ['up', '--data-dir', join(folder, 'web'), '--rate-per-second', '0', ...ports];
  await using child = new Child('gochat up', join(ROOT, 'bin/gochat'), args, { cwd: ROOT });
  const text = await child.until((output) => (output.includes('Ctrl-C') ? output : undefined));
  const urls = {
    api: /api {7}(https?:\S+)/.exec(text)?.[1] ?? '',
    ipconf: /(https?:\S+)\/ip\/list/.exec(text)?.[1] ?? '',
  };
  await using demo = await connect(urls, 'demo');
  await using test = await connect(urls, 'test');
  const shrink = quick ? 10 : 1;
  const { id: room } = await test.createRoom('bench');
  await demo.joinRoom(room);
  await send(test, room, ROOM_MESSAGES / shrink);
  demo.markRead(room, ROOM_MESSAGES / shrink + 2);
  for (let i = 0; i < CONVERSATIONS / shrink; i++) {
    const { id } = await demo.createRoom(`room-${i}`);
    if (i % 20 === 0) await test.joinRoom(id);
  }
  const browser = await launchBrowser();
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    await page.addInitScript(OBSERVE);
    await page.goto(urls.api);
    await page.getByRole('group', { name: 'Demo accounts' }).getByText('demo', { exact: true }).click();
    await page.locator('.conv').nth(20).waitFor();
    await page.reload();
    await page.locator('.conv').nth(20).waitFor();
    const listMs = await page.evaluate<number>('observed.listed - observed.welcome');
    await page.goto(`${urls.api}/r/${room}`);
    await page.getByRole('log').locator('.msg').nth(20).waitFor();
    const cdp = await page.context().newCDPSession(page);
    await cdp.send('Performance.enable');
    const busy = await load(page, cdp, test, room, quick ? 5 : SECONDS);
    const heapShare = await flood(page, cdp, test, room, FLOOD / shrink);
    const firstBytes = firstScreenBytes();
    const check = (what: string, figure: number, goal: number) => {
      if (!(figure <= goal)) notMet(`web: ${what} is ${figure.toFixed(3)}, not at most ${goal}`);
    };
    check('first screen, bytes', firstBytes, FIRST_SCREEN_BYTES);
    check('list after WELCOME, ms', listMs, LIST_MS);
    check('main thread busy', busy.share, BUSY);
    check('longest task, ms', busy.longestMs, LONGEST_TASK_MS);
    check('key to echo p99, ms', busy.keyP99Ms, KEY_P99_MS);
    check('heap after the flood, share', Math.abs(heapShare - 1), HEAP_SHARE);
    return {
      'first screen, all files, gzip, bytes': firstBytes,
      [`list usable after WELCOME, ${CONVERSATIONS / shrink} conversations, ms`]: listMs,
      [`room of ${ROOM_MESSAGES / shrink}, ${PER_S} messages/s`]: {
        'main thread busy, share': busy.share,
        'script, share': busy.scriptShare,
        'style and layout, share': busy.layoutShare,
        'longest task, ms': busy.longestMs,
        'key to the next frame, p99 ms': busy.keyP99Ms,
        'nodes of the document': busy.nodes,
      },
      [`heap after ${FLOOD / shrink} messages at full speed, of before`]: heapShare,
    };
  } finally {
    await browser.close();
  }
}

/** Runs in the page before its scripts: notes when WELCOME came, when the list was there, long tasks and slow keys. */
const OBSERVE = `
  const observed = globalThis.observed = { welcome: 0, listed: 0, longest: 0, keys: [] };
  const Real = WebSocket;
  globalThis.WebSocket = class extends Real {
    constructor(...args) {
      super(...args);
      this.addEventListener('message', () => { observed.welcome ||= performance.now(); }, { once: true });
    }
  };
  new MutationObserver(() => {
    if (observed.listed === 0 && document.querySelectorAll('.conv').length > 20) observed.listed = performance.now();
  }).observe(document, { childList: true, subtree: true });
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) observed.longest = Math.max(observed.longest, duration);
  }).observe({ type: 'longtask' });
  addEventListener('keydown', () => {
    const begun = performance.now();
    requestAnimationFrame(() => requestAnimationFrame(() => observed.keys.push(performance.now() - begun)));
  }, { capture: true });
`;

interface Busy {
  readonly share: number;
  readonly scriptShare: number;
  readonly layoutShare: number;
  readonly longestMs: number;
  readonly keyP99Ms: number;
  readonly nodes: number;
}

/** Lets others write to the room while one types. */
async function load(
  page: Page,
  cdp: CDPSession,
  writer: GochatClient,
  room: string,
  seconds: number,
): Promise<Busy> {
  const timer = setInterval(() => void writer.send(room, `at once ${Math.random()}`), 1000 / PER_S);
  await page.getByRole('textbox', { name: /^Message / }).focus();
  await page.waitForTimeout(1_000);
  await page.evaluate('observed.longest = 0; observed.keys.length = 0');
  const before = await metrics(cdp);
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    await page.keyboard.press('a');
    await page.waitForTimeout(60);
  }
  const after = await metrics(cdp);
  clearInterval(timer);
  const share = (name: string) =>
    ((after[name] ?? 0) - (before[name] ?? 0)) / ((after['Timestamp'] ?? 0) - (before['Timestamp'] ?? 0));
  const keys = (await page.evaluate<number[]>('observed.keys')).toSorted((a, b) => a - b);
  return {
    share: share('TaskDuration'),
    scriptShare: share('ScriptDuration'),
    layoutShare: share('LayoutDuration') + share('RecalcStyleDuration'),
    longestMs: await page.evaluate<number>('observed.longest'),
    keyP99Ms: keys[Math.floor(keys.length * 0.99)] ?? Number.NaN,
    nodes: after['Nodes'] ?? Number.NaN,
  };
}

/** Sends as fast as the server takes it. Returns the heap after it as a share of that before. */
async function flood(
  page: Page,
  cdp: CDPSession,
  writer: GochatClient,
  room: string,
  count: number,
): Promise<number> {
  const before = await heapOf(cdp);
  await send(writer, room, count, 'the last one');
  await page.getByRole('log').getByText('the last one').waitFor({ timeout: 120_000 });
  return (await heapOf(cdp)) / before;
}

async function heapOf(cdp: CDPSession): Promise<number> {
  await cdp.send('HeapProfiler.collectGarbage');
  return (await metrics(cdp))['JSHeapUsedSize'] ?? Number.NaN;
}

async function metrics(cdp: CDPSession): Promise<Readonly<Record<string, number>>> {
  const { metrics: all } = await cdp.send('Performance.getMetrics');
  return Object.fromEntries(all.map(({ name, value }) => [name, value]));
}

async function connect(
  urls: { readonly api: string; readonly ipconf: string },
  user: string,
): Promise<GochatClient> {
  const client = new GochatClient({ ...urls, user, password: PASSWORD, transport: tcpTransport() });
  await client.connect();
  return client;
}

/** Sends so many messages, and a last one. */
async function send(client: GochatClient, room: string, count: number, last = 'end'): Promise<void> {
  const window: Promise<Sent>[] = [];
  for (let i = 0; i < count; i++) {
    window.push(client.send(room, `message ${i} ${'word '.repeat(i % 12)}`));
    if (window.length === 200) await Promise.all(window.splice(0));
  }
  await Promise.all([...window, client.send(room, last)]);
}

/** All that a browser may fetch; the build refuses a first screen that is too large. */
function firstScreenBytes(): number {
  const folder = join(ROOT, 'dist/page');
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.gz'),
  );
  return files.reduce((sum, file) => sum + statSync(join(folder, file)).size, 0);
}
