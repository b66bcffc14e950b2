/** The page in a real Chromium, with a line client in the same room. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { expectAccessible } from '../harness/accessible.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { controlNetwork, enterDemo, launchBrowser, type WatchedPage, watchPage } from '../harness/browser.ts';
import { Client, startUp } from '../harness/gochat.ts';

const data = mkdtempSync(join(tmpdir(), 'gochat-page-'));
let up: Awaited<ReturnType<typeof startUp>>;
let browser: Browser;

beforeAll(async () => {
  [up, browser] = await Promise.all([startUp(data), launchBrowser()]);
});

afterAll(async () => {
  await browser.close();
  await up[Symbol.asyncDispose]();
  rmSync(data, { recursive: true, force: true });
});

async function openPage(): Promise<WatchedPage> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: 'en-GB' });
  return watchPage(context, up.api);
}

test('a demo account: one click, a room, a message; a line client sees it and answers; reload keeps it', async () => {
  const { page, wrong } = await openPage();
  await page.goto(up.api);
  await page.getByText('demo', { exact: true }).waitFor();
  await expectAccessible(page);
  await enterDemo(page, up.api, 'demo');
  await openRoom(page, 'garden');
  await page.getByRole('textbox', { name: 'Message #garden' }).fill('**hello** from the page');
  await page.keyboard.press('Enter');
  await page.getByRole('log').getByText('from the page').waitFor();
  await using line = new Client(up, 'test', '111111');
  await line.event('connected');
  line.say('/join garden');
  await line.event('message', ({ text }) => text === '**hello** from the page');
  line.say('hello from the line client');
  await page.getByRole('log').getByText('hello from the line client').waitFor();
  expect(await page.getByRole('log').locator('strong').textContent()).toBe('hello');
  line.say('/thread 1 in a thread');
  await page
    .getByRole('article', { name: /in a thread/ })
    .getByText('Reply in a thread')
    .waitFor();
  await expectAccessible(page);
  await page.reload();
  await page.getByRole('log').getByText('hello from the line client').waitFor();
  line.end();
  expect((await line.exit()).code).toBe(0);
  expect(wrong).toEqual([]);
});

test('without a network: one reads and writes on, a reload keeps what is unsent, and it is sent once', async () => {
  const { page, wrong } = await openPage();
  const network = await controlNetwork(page.context());
  await enterDemo(page, up.api, 'demo');
  await openRoom(page, 'offline');
  const box = page.getByRole('textbox', { name: 'Message #offline' });
  await box.fill('before');
  await page.keyboard.press('Enter');
  await page.getByRole('img', { name: 'Sent' }).waitFor();
  await network.cut();
  await page.getByText('Offline.').waitFor();
  await box.fill('in the tunnel');
  await page.keyboard.press('Enter');
  await page.getByRole('log').getByText('in the tunnel').waitFor();
  await page.getByText('1 message waits to be sent').waitFor();
  network.restore();
  await page.reload();
  await page.getByRole('log').getByText('in the tunnel').waitFor();
  await page.getByRole('img', { name: 'Sent' }).waitFor();
  expect(await page.getByRole('log').getByText('in the tunnel').count()).toBe(1);
  expect(wrong).toEqual([]);
});

test('two tabs: one connection, the same in both, and the other one goes on when the first is closed', async () => {
  const { page: first, wrong } = await openPage();
  const network = await controlNetwork(first.context());
  await enterDemo(first, up.api, 'demo');
  await openRoom(first, 'tabs');
  const second = await first.context().newPage();
  await second.goto(first.url());
  const write = async (page: Page, text: string) => {
    await page.getByRole('textbox', { name: 'Message #tabs' }).fill(text);
    await page.keyboard.press('Enter');
  };
  await write(second, 'from the second');
  await first.getByRole('log').getByText('from the second').waitFor();
  await write(first, 'from the first');
  await second.getByRole('log').getByText('from the first').waitFor();
  expect(network.opened()).toBe(1);
  await first.close();
  await write(second, 'alone');
  await second.getByRole('log').getByText('alone').waitFor();
  await expect.poll(() => network.opened()).toBe(2);
  const third = await second.context().newPage();
  await third.goto(second.url());
  await third.getByRole('log').getByText('alone').waitFor();
  await third.getByRole('button', { name: 'Settings' }).click();
  await third.getByRole('button', { name: 'Sign out', exact: true }).click();
  await second.getByRole('button', { name: 'Sign in' }).last().waitFor();
  expect(wrong).toEqual([]);
});

async function openRoom(page: Page, name: string): Promise<void> {
  await page.getByRole('button', { name: 'New room' }).click();
  await page.getByLabel('Name of the room').fill(name);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name, level: 1 }).waitFor();
}
