/**
 * What the dialog of a dataset says when there is no file, and of rows that are selected on the page, in two languages;
 * in lines of JSON. Arguments: the page's address, a folder to save files in.
 */
import { launched } from './launch.mjs';

const [address, folder] = process.argv.slice(2);
const say = (what) => console.log(JSON.stringify(what));

const browser = await launched();
try {
  for (const language of ['en', 'zh-CN']) {
    const context = await browser.newContext({ acceptDownloads: true, locale: language });
    const at = async (path) => {
      const page = await context.newPage();
      page.on('pageerror', (error) => say({ error: String(error) }));
      await page.goto(`${address}/${language}/${path}`);
      await page.locator('sluice-export-dialog button').first().click();
      const dialog = page.locator('sluice-export-dialog dialog');
      return { page, dialog, note: dialog.locator('[part=note]'), status: dialog.locator('sluice-export [role=status]') };
    };
    const submit = ({ dialog }) => dialog.locator('[part=submit]').click();
    const said = async (which, name) => {
      const shown = which.filter({ hasText: name });
      await shown.waitFor({ timeout: 60000 });
      say({ language, [name]: await shown.textContent() });
    };

    for (const [path, code] of [['hidden', 'DATASET_NOT_FOUND'], ['orders?as=stranger', 'UNAUTHENTICATED']]) {
      const { page, dialog, note } = await at(path);
      await said(note, code);
      say({ language, submit: await dialog.locator('[part=submit]').isVisible(), again: await dialog.locator('[part=again]').textContent() });
      await page.close();
    }
    for (const [path, code] of [['broken', 'SOURCE_INVALID'], ['narrow', 'TOO_MANY_ROWS']]) {
      const one = await at(path);
      await submit(one);
      await said(one.status, code);
      await one.page.close();
    }
    const scarce = await at(`scarce?as=${language}`);
    await Promise.all([scarce.page.waitForEvent('download'), submit(scarce)]);
    await scarce.dialog.locator('#filename').fill('another');
    await submit(scarce);
    await said(scarce.status, 'RATE_LIMITED');
    await scarce.page.close();

    const one = await at('orders?selected=3,6,9');
    const { page, dialog } = one;
    await dialog.locator('#date-from').waitFor();
    say({ language, form: (await dialog.locator('legend, label, small').allTextContents()).map((text) => text.trim()).filter(Boolean) });
    await submit(one);
    say({ language, many: await dialog.locator('input[value=selected]').evaluate((box) => box.validationMessage) });
    await page.evaluate(() => { document.querySelector('sluice-export-dialog').selected = [3, 6]; });
    await page.keyboard.press('Escape');
    await page.locator('sluice-export-dialog button').first().click();
    await dialog.getByText('2', { exact: false }).first().waitFor();
    await dialog.locator('#date-from').fill('2026-03-09');
    await dialog.locator('#date-to').fill('2026-03-08');
    await submit(one);
    say({ language, backwards: await dialog.locator('#date-to').evaluate((day) => day.validationMessage) });
    await dialog.locator('#date-from').fill('');
    await dialog.locator('#date-to').fill('');
    const [download] = await Promise.all([page.waitForEvent('download'), submit(one)]);
    await download.saveAs(`${folder}/${language}`);
    await one.status.filter({ hasText: download.suggestedFilename() }).waitFor();
    say({ language, status: await one.status.textContent() });
    await context.close();
  }
} finally {
  await browser.close();
}
