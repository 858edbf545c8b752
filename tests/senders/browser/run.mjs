/**
 * Drives Chromium: opens a page, presses the button, and says in lines of JSON what is seen, until the file is saved.
 * Arguments: the page's address, where to save the file, the language.
 */
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { launched } from './launch.mjs';

const [address, target, language] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf-8');
const say = (what) => console.log(JSON.stringify(what));

const browser = await launched();
try {
  const context = await browser.newContext({ acceptDownloads: true, locale: language });
  const page = await context.newPage();
  page.on('console', (message) => message.type() === 'error' && say({ error: message.text() }));
  page.on('pageerror', (error) => say({ error: String(error) }));
  const check = async (where) => {
    const found = await page.evaluate(`${axe}; axe.run(document).then((result) => result.violations.map((one) => one.id))`);
    say({ axe: where, found });
  };
  await page.goto(address);
  const element = page.locator('sluice-export');
  await check('before');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter'); // the keyboard alone suffices
  await element.locator('[role=status]', { hasText: /\d/ }).waitFor();
  say({ status: await element.locator('[role=status]').textContent() });
  await check('while it runs');
  await page.evaluate(() => fetch('/rows', { method: 'POST' })); // the application sends the rest and closes
  const link = element.locator('a:not([hidden])');
  await link.waitFor({ timeout: 60000 });
  say({ status: await element.locator('[role=status]').textContent(), link: await link.textContent() });
  await check('after');
  const [download] = await Promise.all([page.waitForEvent('download'), link.click()]);
  await download.saveAs(target);
  say({ saved: download.suggestedFilename(), ready: await page.evaluate(() => window.ready) });
} finally {
  await browser.close();
}
