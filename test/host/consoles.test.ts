// Consoles of a real guest in a real browser: what is typed in the serial console reaches the guest, and its screen is seen.
// With CONSOLE_PICTURES=<directory> a picture of each is left there.
import { join } from 'node:path';
import { chromium, type Browser, type Page } from 'playwright-core';
import { installCloud, type MachineCloud } from '../support/machineCloud';
import { startOwnMachine, type OwnMachine } from '../support/ownMachine';
import { createServer, makeContent, until, type CloudClient } from '../support/realCloud';
import { tinyImage } from '../support/tinyImage';

jest.setTimeout(240_000);

let machine: OwnMachine;
let cloud: MachineCloud;
let client: CloudClient;
let browser: Browser;
let id: string;

beforeAll(async () => {
  machine = await startOwnMachine();
  await machine.startLibvirtd();
  cloud = installCloud(machine);
  client = await cloud.start();
  const content = await makeContent(client, tinyImage(), 'consoles');
  id = await createServer(client, content, 'seen');
  await until(client, id, 'ACTIVE', 100);
  // Other machines are offered TLS only; here the plain listener, which is for loopback, has an address of its own.
  const args = ['--no-sandbox', `--unsafely-treat-insecure-origin-as-secure=${cloud.url}`];
  browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args });
}, 240_000);
afterAll(async () => {
  await browser?.close();
  await machine?.remove();
});

const inState = (page: Page, state: 'open' | 'ended'): Promise<void> =>
  page.locator(`#state[data-state=${state}]`).waitFor();

/** For the browser: whether the guest has drawn letters. */
const SOMETHING_WHITE = `(() => {
  const canvas = document.querySelector('canvas');
  if (!canvas || canvas.width < 100) return false;
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  return data.filter((value, at) => at % 4 !== 3 && value > 100).length > 500;
})()`;

async function open(protocol: string, type: string): Promise<{ page: Page; url: string }> {
  const { remote_console } = await client.call<{ remote_console: { url: string } }>(
    'POST',
    `/compute/v2.1/servers/${id}/remote-consoles`,
    { remote_console: { protocol, type } },
  );
  const page = await browser.newPage({ viewport: { width: 900, height: 560 } });
  const refused: string[] = [];
  page.on('console', (message) => message.type() === 'error' && refused.push(message.text()));
  page.on('pageerror', (error) => refused.push(error.message));
  await page.goto(remote_console.url);
  await inState(page, 'open');
  expect(refused).toEqual([]);
  return { page, url: remote_console.url };
}

const state = (page: Page): Promise<string> => page.locator('#state').innerText();
const picture = async (page: Page, name: string): Promise<void> => {
  const directory = process.env['CONSOLE_PICTURES'];
  if (directory) await page.screenshot({ path: join(directory, `${name}.png`) });
};

test('what is typed in the serial console is heard by the guest', async () => {
  const { page, url } = await open('serial', 'serial');
  const rows = page.locator('.xterm-rows');
  // A prompt comes anew at Enter, however long ago the guest has booted.
  for (let tries = 0; tries < 100 && !(await rows.innerText()).includes('login:'); tries++) {
    await page.keyboard.press('Enter');
    await page.waitForTimeout(1000);
  }
  await page.keyboard.type('nobody-of-that-name\n');
  await page.locator('.xterm-rows', { hasText: 'Password:' }).waitFor();
  expect(await rows.innerText()).toContain('nobody-of-that-name');
  await picture(page, 'serial-console');
  expect(new URL(page.url()).search).toBe('');

  const second = await browser.newPage();
  await second.goto(url);
  await inState(second, 'ended');
  expect(await state(second)).toMatch(/it was used already. Ask for a new one/);
  await second.close();

  // Who comes last has the port; the first is told.
  const { page: third } = await open('serial', 'serial');
  await inState(page, 'ended');
  expect(await state(page)).toMatch(/somebody else opened it/);
  await third.close();
  await page.close();
});

test('the screen of the guest is seen while it boots', async () => {
  const { page } = await open('vnc', 'novnc');
  await client.call('POST', `/compute/v2.1/servers/${id}/action`, { reboot: { type: 'HARD' } });
  await inState(page, 'ended');
  await until(client, id, 'ACTIVE', 100);
  const { page: again } = await open('vnc', 'novnc');
  // Asked through the debugger: the page itself may evaluate nothing.
  for (let tries = 0; tries < 100 && !(await again.evaluate(SOMETHING_WHITE)); tries++) await again.waitForTimeout(200);
  expect(await again.evaluate(SOMETHING_WHITE)).toBe(true);
  await again.locator('#keys').click();
  await picture(again, 'screen');
  await again.close();
});

test('a server that is switched off ends its consoles', async () => {
  const { page } = await open('serial', 'serial');
  await client.call('POST', `/compute/v2.1/servers/${id}/action`, { 'os-stop': null });
  await inState(page, 'ended');
  expect(await state(page)).toMatch(/the server was switched off/);
  await page.close();
  await until(client, id, 'SHUTOFF', 60);
  await client.request('DELETE', `/compute/v2.1/servers/${id}`);
});
