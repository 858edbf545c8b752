/**
 * Asks for a dataset in the dialog with the keyboard alone, as files of three sizes; comes back to the one that takes
 * its time. Says in lines of JSON what is seen. Arguments: the page's address, a folder to save files in.
 */
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { launched } from './launch.mjs';

const [address, folder] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf-8');
const say = (what) => console.log(JSON.stringify(what));

const browser = await launched();
try {
  const page = await (await browser.newContext({ acceptDownloads: true, locale: 'en-US' })).newPage();
  const refused = /status of 401/; // of the first token, which is over
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
    return at.id || at.value || at.textContent;
  });
  const tabTo = async (name) => {
    for (let tries = 0; (await focus()) !== name; tries++) {
      if (tries === 60) { throw new Error(`the Tab key does not lead to ${name}`); }
      await press('Tab');
    }
  };
  const element = page.locator('sluice-export-dialog');
  const dialog = element.locator('dialog');
  const status = dialog.locator('sluice-export [role=status]');
  const state = element.locator('[part=state]');
  const texts = (selector) => dialog.locator(selector).evaluateAll((found) => found.map((one) => one.textContent.trim()));
  const opened = async () => {
    await tabTo('Export…');
    await press('Enter');
    await dialog.locator('#format').waitFor();
  };
  const saved = async (name, act) => {
    const [download] = await Promise.all([page.waitForEvent('download'), act()]);
    await download.saveAs(`${folder}/${name}`);
    return download.suggestedFilename();
  };

  await page.goto(address);
  await element.locator('button').first().waitFor();
  await check('before');
  await opened();
  await page.waitForFunction(() => document.activeElement.shadowRoot?.activeElement?.id === 'format');
  say({ columns: await texts('.columns label'), hint: (await texts('small')).filter(Boolean), formats: await texts('#format option') });
  say({ choices: await texts('.choices label'), scope: await dialog.getByText('Selected rows').isVisible() });
  await check('chosen in');

  // A few rows: two days, as CSV, without the column of e-mails.
  await press('End');
  await tabTo('email');
  await press('Space');
  await tabTo('date-from');
  await page.keyboard.type('03052026');
  await tabTo('date-to');
  await page.keyboard.type('03062026');
  await tabTo('filename');
  const name = await saved('small', () => press('Enter'));
  await status.filter({ hasText: name }).waitFor();
  say({ saved: name, status: await status.textContent(), ready: await page.evaluate(() => window.ready.shift()) });
  await check('saved');

  // More: two weeks of one state. The button is pressed twice.
  await dialog.locator('#date-from').fill('2026-03-01');
  await dialog.locator('#date-to').fill('2026-03-14');
  await tabTo('paid');
  await press('Space');
  say({ saved: await saved('medium', () => dialog.locator('[part=submit]').dblclick()) });
  say({ ready: await page.evaluate(() => window.ready.shift()) });

  // All of them, which no answer waits for; what makes files is stopped meanwhile.
  await page.evaluate(() => fetch('/stop', { method: 'POST' }));
  await dialog.locator('#date-from').fill('');
  await dialog.locator('#date-to').fill('');
  await dialog.locator('input[value=paid]').uncheck();
  await dialog.locator('#format').focus();
  await press('Home');
  await tabTo('Export');
  await press('Enter');
  await status.filter({ hasText: 'turn' }).waitFor();
  say({ status: await status.textContent() });
  await tabTo('Export'); // impatience: the same choices again are the same export
  await Promise.all([page.waitForResponse((answer) => answer.status() === 202), press('Enter')]);
  await press('Escape');
  await state.filter({ hasText: /./ }).waitFor();
  say({ closed: await focus(), state: await state.textContent() });

  await page.reload(); // the page forgets all that it knew
  await element.locator('button').first().waitFor();
  await opened();
  await status.filter({ hasText: 'turn' }).waitFor();
  say({ again: await status.textContent(), last: await dialog.locator('[part=last]').textContent() });
  await check('while it runs');
  await page.evaluate(() => fetch('/go-on', { method: 'POST' }));
  const link = dialog.locator('a:not([hidden])');
  await link.waitFor({ timeout: 60000 });
  const note = await dialog.locator('[part=note]').textContent();
  say({ status: await status.textContent(), link: await link.textContent(), kept: /^The file is kept until .*20\d\d/.test(note) });
  await check('after');
  say({ saved: await saved('large', () => link.press('Enter')), ready: await page.evaluate(() => window.ready.shift()) });

  await page.reload();
  await element.locator('button').first().waitFor();
  await opened();
  await link.waitFor();
  say({ found: await link.textContent(), ready: await page.evaluate(() => window.ready.length) });
} finally {
  await browser.close();
}
