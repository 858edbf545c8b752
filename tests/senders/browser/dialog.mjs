/**
 * Chooses in the dialog with the keyboard alone, closes it while the export runs and opens it again; says in lines of
 * JSON what is seen. Arguments: the page's address, where to save the file, the language.
 */
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { launched } from './launch.mjs';

const [address, target, language] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf-8');
const say = (what) => console.log(JSON.stringify(what));

const browser = await launched();
try {
  const page = await (await browser.newContext({ acceptDownloads: true, locale: language, timezoneId: 'Asia/Shanghai' })).newPage();
  const refused = /status of 503/; // the browser's own word for the answer that the test gives
  page.on('console', (message) => message.type() === 'error' && !refused.test(message.text()) && say({ error: message.text() }));
  page.on('pageerror', (error) => say({ error: String(error) }));
  const check = async (where) => {
    const found = await page.evaluate(`${axe}; axe.run(document).then((result) => result.violations.map((one) => one.id))`);
    say({ axe: where, found });
  };
  const press = async (...keys) => { for (const key of keys) { await page.keyboard.press(key); } };
  const focus = () => page.evaluate(() => {
    let at = document.activeElement;
    while (at.shadowRoot?.activeElement) { at = at.shadowRoot.activeElement; }
    return at.id || at.textContent;
  });
  const element = page.locator('sluice-export-dialog');
  const dialog = element.locator('dialog');
  const status = dialog.locator('[role=status]');
  const state = element.locator('[part=state]');
  const shown = (field) => dialog.locator(`#${field}`).isVisible();
  await page.goto(address);
  await element.locator('button').first().waitFor();
  await check('before');
  await press('Tab', 'Enter');
  say({ opened: await focus(), named: await page.getByRole('dialog', { name: await dialog.locator('h2').textContent() }).count() });
  await check('chosen in');
  say({ style: await shown('style'), encoding: await shown('csv_encoding') });
  await press('End'); // from the first format to the last
  say({ style: await shown('style'), encoding: await shown('csv_encoding') });
  await press('Tab', 'Space'); // no column is left
  await press('Tab', 'Tab', 'Tab', 'Tab');
  say({ at: await focus() });
  await press('End');
  await page.keyboard.type('-2026');
  await press('Enter');
  const first = dialog.locator('.columns input').first();
  say({ missing: await first.evaluate((box) => box.validationMessage), at: await dialog.locator('input:focus').getAttribute('value') });
  await press('Shift+Tab', 'Space', 'Tab', 'Tab', 'Space'); // all of them again, but the second
  say({ all: await dialog.locator('#all').evaluate((box) => [box.checked, box.indeterminate]) });
  const submitted = async () => {
    await dialog.locator('#filename').focus();
    await press('Enter');
  };
  await submitted(); // which the application refuses
  await status.filter({ hasText: 'QUEUE_FULL' }).waitFor();
  say({ status: await status.textContent() });
  await submitted(); // this too, in words of its own
  await status.filter({ hasText: 'HELD' }).waitFor();
  say({ status: await status.textContent(), images: await dialog.locator('img').count() });
  await submitted();
  await status.filter({ hasText: /2/ }).waitFor();
  say({ status: await status.textContent(), focus: await focus() });
  await check('while it runs');
  await press('Escape');
  await state.filter({ hasText: /./ }).waitFor();
  say({ closed: await focus(), state: await state.textContent() });
  await press('Enter');
  say({ again: await status.textContent(), focus: await focus(), state: await state.textContent() });
  await press('Enter'); // closes it
  await page.evaluate(() => fetch('/rows', { method: 'POST' })); // the application sends the rest and closes
  await page.waitForFunction(() => window.ready !== undefined, null, { timeout: 60000 });
  say({ ready: await page.evaluate(() => window.ready), state: await state.textContent(), focus: await focus() });
  await press('Enter');
  await check('after');
  const link = dialog.locator('a:not([hidden])');
  say({ link: await link.textContent(), status: await status.textContent() });
  const [download] = await Promise.all([page.waitForEvent('download'), link.press('Enter')]);
  await download.saveAs(target);
  say({ saved: download.suggestedFilename(), enabled: await dialog.locator('[part=submit]').isEnabled() });
} finally {
  await browser.close();
}
