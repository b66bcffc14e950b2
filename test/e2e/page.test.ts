/** The page in a real Chromium, with a line client in the same room. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AxeBuilder } from '@axe-core/playwright';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { enterDemo, launchBrowser } from '../harness/browser.ts';
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

/** Opens a page that notes what must not be: errors, and requests to other hosts. */
async function openPage(): Promise<{ page: Page; wrong: string[] }> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: 'en-GB' });
  const page = await context.newPage();
  const wrong: string[] = [];
  const host = new URL(up.api).host;
  page.on('console', (message) => {
    if (message.type() === 'error') wrong.push(message.text());
  });
  page.on('pageerror', (error) => wrong.push(error.message));
  page.on('request', (request) => {
    if (new URL(request.url()).host !== host) wrong.push(request.url());
  });
  return { page, wrong };
}

async function expectAccessible(page: Page): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  expect(serious.map(({ id, nodes }) => ({ id, nodes: nodes.map(({ html }) => html) }))).toEqual([]);
}

test('a demo account: one click, a room, a message; a line client sees it and answers; reload keeps it', async () => {
  const { page, wrong } = await openPage();
  await page.goto(up.api);
  await page.getByText('demo', { exact: true }).waitFor();
  await expectAccessible(page);
  await enterDemo(page, up.api, 'demo');
  await page.getByRole('button', { name: 'New room' }).click();
  await page.getByLabel('Name of the room').fill('garden');
  await page.keyboard.press('Enter');
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
  await expectAccessible(page);
  await page.reload();
  await page.getByRole('log').getByText('hello from the line client').waitFor();
  line.end();
  expect((await line.exit()).code).toBe(0);
  expect(wrong).toEqual([]);
});
