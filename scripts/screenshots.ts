/** Takes the pictures of the page for README.md and docs/guide.md: `node scripts/screenshots.ts`, after `make build`. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { GochatClient, tcpTransport } from '../client/mod.ts';
import { controlNetwork, launchBrowser } from '../test/harness/browser.ts';
import { ROOT, startUp, type SystemUrls } from '../test/harness/gochat.ts';

const OUT = join(ROOT, 'docs/pictures');
const PASSWORD = 'lanterns on the water';
const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 375, height: 780 };

const PEOPLE = {
  nora: 'Nora Winther',
  amara: 'Amara Okafor',
  jonas: 'Jonas Lindqvist',
  mei: 'Mei Tanaka',
  priya: 'Priya Raman',
  layla: 'ليلى حداد',
  tomas: 'Tomás Ferreira',
  maximiliana: 'Maximiliana Konstantinopoulou-Wolfeschlegelstein',
} as const;
type Handle = keyof typeof PEOPLE;

const data = mkdtempSync(join(tmpdir(), 'gochat-pictures-'));
const only = process.argv[2];
try {
  await using up = await startUp(data);
  const browser = await launchBrowser();
  try {
    mkdirSync(OUT, { recursive: true });
    await takeAll(browser, up);
  } finally {
    await browser.close();
  }
} finally {
  rmSync(data, { recursive: true, force: true });
}

async function takeAll(browser: Browser, urls: SystemUrls): Promise<void> {
  const people = await meet(urls);
  const { room, first } = await talk(people);
  const light = await browser.newContext({ viewport: DESKTOP, colorScheme: 'light', locale: 'en-GB' });
  const page = await light.newPage();
  await page.goto(urls.api);
  await page.getByText('demo', { exact: true }).waitFor();
  await take(page, 'sign-in');
  await signIn(page);
  await page.getByRole('main').getByText('Good to have you here').waitFor();
  await page.getByRole('button', { name: 'Join winter-market' }).waitFor();
  await take(page, 'empty');
  await page.getByRole('link', { name: 'harbour-festival' }).click();
  await page.getByText('She wants the signed form by four.').waitFor();
  people.mei.typing(room);
  await page.getByText('is typing').waitFor();
  await read(people.amara, room);
  await page.getByText('Read by').first().waitFor({ state: 'attached' });
  await take(page, 'chat');
  await page.keyboard.press('Control+k');
  await page.keyboard.type('ma');
  await take(page, 'switcher');
  await page.keyboard.press('Escape');
  const dark = await enter(browser, urls, { colorScheme: 'dark' });
  const network = await controlNetwork(dark.context());
  await dark.goto(`${urls.api}/r/${room}/${first}`);
  await dark.getByText('She wants the signed form by four.').waitFor();
  await dark.getByRole('button', { name: 'Members' }).click();
  await dark.getByText('@maximiliana').waitFor();
  await take(dark, 'members-dark');
  await dark.goto(`${urls.api}/r/${room}`);
  await dark.getByText('She wants the signed form by four.').waitFor();
  await network.cut();
  await dark.getByText('Offline.').waitFor();
  await dark.getByRole('textbox', { name: /Message #/ }).fill('Here it comes, with the new plan.');
  await dark.keyboard.press('Enter');
  await dark.getByText('1 message waits').waitFor();
  await take(dark, 'offline-dark');
  const phone = await enter(browser, urls, {
    viewport: PHONE,
    colorScheme: 'light',
    hasTouch: true,
    isMobile: true,
  });
  await phone.getByRole('link', { name: 'harbour-festival' }).waitFor();
  await take(phone, 'phone-list');
  await phone.getByRole('link', { name: 'harbour-festival' }).click();
  await phone.getByText('She wants the signed form by four.').waitFor();
  await take(phone, 'phone-chat');
  for (const client of Object.values(people)) await client.close();
}

/** Opens a page with a screen of its own, signed in as nora. */
async function enter(browser: Browser, urls: SystemUrls, options: BrowserContextOptions): Promise<Page> {
  const context = await browser.newContext({ viewport: DESKTOP, locale: 'en-GB', ...options });
  const page = await context.newPage();
  await page.goto(urls.api);
  await signIn(page);
  await page.getByRole('link', { name: 'harbour-festival' }).waitFor({ state: 'attached' });
  return page;
}

async function take(page: Page, name: string): Promise<void> {
  if (only !== undefined && only !== name) return;
  await page.waitForLoadState('networkidle').catch(() => undefined);
  await page.screenshot({ path: join(OUT, `${name}.png`), animations: 'disabled', caret: 'hide' });
  console.log(name);
}

async function signIn(page: Page): Promise<void> {
  await page.getByLabel('Handle').fill('nora');
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await page.keyboard.press('Enter');
}

/** Makes the accounts and connects them. */
async function meet(urls: SystemUrls): Promise<Record<Handle, GochatClient>> {
  const clients: [Handle, GochatClient][] = [];
  for (const [name, displayName] of Object.entries(PEOPLE) as [Handle, string][]) {
    await fetch(`${urls.api}/auth/signup`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name, password: PASSWORD }),
    });
    const client = new GochatClient({ ...urls, user: name, password: PASSWORD, transport: tcpTransport() });
    await client.connect();
    await client.setDisplayName(displayName);
    clients.push([name, client]);
  }
  return Object.fromEntries(clients) as Record<Handle, GochatClient>;
}

/** Writes what the pictures show. */
async function talk(people: Record<Handle, GochatClient>): Promise<{ room: string; first: number }> {
  const { nora, amara, jonas, mei, priya, layla, tomas, maximiliana } = people;
  const { id: room } = await amara.createRoom('harbour-festival');
  for (const each of [nora, jonas, mei, priya, layla, tomas, maximiliana]) await each.joinRoom(room);
  const say = async (who: GochatClient, text: string, replyTo?: number) =>
    (await who.send(room, text, replyTo === undefined ? {} : { replyTo })).seq;
  await say(amara, 'Gates open at ten on Friday. The tide table is pinned.');
  const acts = await say(
    jonas,
    'Order of the acts for tonight, **final** unless the wind turns:\n\n- 19:00 Kelp & Sons\n- 20:30 The Long Tide\n- 22:00 Lanterns on the water',
  );
  await amara.pin(room, acts);
  const wind = await say(priya, 'Wind is 4 knots from the south. We stay with the plan.');
  const reply = await say(
    priya,
    '22:00 is high water. The lantern boats can leave from the nort steps then.',
    acts,
  );
  await priya.edit(
    room,
    reply,
    '22:00 is high water. The lantern boats can leave from the north steps then.',
  );
  const wrong = await say(priya, 'Wrong room, sorry');
  await priya.retract(room, wrong);
  await say(
    tomas,
    'The Long Tide ask for two more monitors. Channel list:\n```\n1  kick       5  bass\n2  snare      6  guitar\n3  overhead   7  vocals\n```',
  );
  await say(layla, 'أعلى مدّ يوم الجمعة الساعة ٢٢:٠١ (high water) 🏮');
  await say(
    amara,
    'Nora, can you ask the harbour master about noise after 23:00? Jonas needs it for the [permit](https://harbour.example/permit).',
  );
  await say(nora, 'Just spoke to her: 23:30 on Friday, `23:00` on the other days.');
  await say(nora, 'She wants the signed form by four.');
  const tide = await layla.createRoom('tide-and-weather');
  await nora.joinRoom(tide.id);
  await nora.mute(tide.id);
  for (const [name, owner] of [
    ['announcements', amara],
    ['food-stalls', tomas],
    ['stage-and-sound', jonas],
  ] as const) {
    const made = await owner.createRoom(name);
    await nora.joinRoom(made.id);
    const last = await owner.send(made.id, 'Hello everybody');
    if (name !== 'stage-and-sound') nora.markRead(made.id, last.seq);
  }
  await maximiliana.createRoom('winter-market');
  for (const [who, text] of [
    [amara, 'Thank you!'],
    [jonas, 'Shall we meet at the crane?'],
    [layla, 'مرحبا'],
    [maximiliana, 'Hello'],
  ] as const) {
    const { id } = await who.openDirect('nora');
    const { seq } = await who.send(id, text);
    if (who !== layla) nora.markRead(id, seq);
  }
  const last = (await nora.history(room)).entries.at(-1)?.seq ?? 0;
  nora.markRead(room, last);
  await nora.synchronised();
  return { room, first: wind };
}

async function read(who: GochatClient, room: string): Promise<void> {
  const { entries } = await who.history(room);
  who.markRead(room, entries.at(-1)?.seq ?? 0);
}
