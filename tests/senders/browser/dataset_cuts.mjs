/** Asks for a dataset four times over a network that loses calls and answers; says in lines of JSON what is saved. */
import { launched } from './launch.mjs';

const [address, folder] = process.argv.slice(2);
const browser = await launched();
try {
  const page = await (await browser.newContext({ acceptDownloads: true, locale: 'en' })).newPage();
  page.on('pageerror', (error) => console.log(JSON.stringify({ error: String(error) })));
  await page.goto(address);
  const dialog = page.locator('sluice-export-dialog dialog');
  await page.locator('sluice-export-dialog button').first().click();
  await dialog.locator('#date-from').fill('2026-03-05');
  await dialog.locator('#date-to').fill('2026-03-06');
  for (const number of [1, 2, 3, 4]) {
    await dialog.locator('#filename').fill(`cut-${number}`);
    const [download] = await Promise.all([page.waitForEvent('download', { timeout: 60000 }), dialog.locator('[part=submit]').click()]);
    await download.saveAs(`${folder}/${download.suggestedFilename()}`);
    console.log(JSON.stringify({ saved: download.suggestedFilename() }));
  }
} finally {
  await browser.close();
}
