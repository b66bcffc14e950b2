/** A real Chromium, Debian's, with pages that tests drive. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Browser, type BrowserContext, chromium, type Page, type WebSocketRoute } from 'playwright-core';
import { ROOT } from './gochat.ts';

const CHROMIUM = '/usr/bin/chromium';
/** Far beyond what a busy machine needs; only a failing test waits that long. */
const DEADLINE_MS = 60_000;
/** It does nothing on its own, and asks no server but ours. */
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
  '--font-render-hinting=none',
];

/** Starts the browser; installs it first where that is possible. */
export async function launchBrowser(): Promise<Browser> {
  if (!existsSync(CHROMIUM))
    execFileSync(join(ROOT, 'scripts/install-for-tests.sh'), ['chromium'], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
  return chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
}

export interface WatchedPage {
  readonly page: Page;
  /** What must not be: errors, and requests to other hosts. */
  readonly wrong: readonly string[];
}

/** Opens a page that notes what must not be. */
export async function watchPage(context: BrowserContext, url: string): Promise<WatchedPage> {
  context.setDefaultTimeout(DEADLINE_MS);
  const page = await context.newPage();
  const wrong: string[] = [];
  const { host } = new URL(url);
  page.on('console', (message) => {
    if (message.type() === 'error') wrong.push(message.text());
  });
  page.on('pageerror', (error) => wrong.push(error.message));
  page.on('request', (request) => {
    if (new URL(request.url()).host !== host) wrong.push(request.url());
  });
  return { page, wrong };
}

/** Signs in by a demo account. */
export async function enterDemo(page: Page, url: string, name: string): Promise<void> {
  await page.goto(url);
  await page.getByRole('group', { name: 'Demo accounts' }).getByText(name, { exact: true }).click();
  await page.getByRole('navigation', { name: 'Conversations' }).waitFor();
}

/** The network of a browser context, which tests may cut. */
export interface Network {
  /** WebSockets that were opened. */
  readonly opened: () => number;
  /** Ends all connections, and refuses new ones until `restore`. */
  readonly cut: () => Promise<void>;
  readonly restore: () => void;
}

/** Takes control of the WebSockets of a context; call it before its pages open any. */
export async function controlNetwork(context: BrowserContext): Promise<Network> {
  const open = new Set<WebSocketRoute>();
  let opened = 0;
  let isCut = false;
  await context.routeWebSocket(/\/ws$/, (socket) => {
    if (isCut) {
      void socket.close();
      return;
    }
    opened++;
    open.add(socket);
    socket.connectToServer();
  });
  return {
    opened: () => opened,
    cut: async () => {
      isCut = true;
      for (const socket of open) await socket.close().catch(() => undefined);
      open.clear();
    },
    restore: () => {
      isCut = false;
    },
  };
}
