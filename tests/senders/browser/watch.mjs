/** Opens a page that follows an export with `watch()`, and says in lines of JSON what it shows, to the file. */
import { launched } from './launch.mjs';

const say = (what) => console.log(JSON.stringify(what));
const browser = await launched();
try {
  const page = await browser.newPage();
  page.on('console', (message) => message.type() === 'error' && say({ error: message.text() }));
  page.on('pageerror', (error) => say({ error: String(error) }));
  await page.goto(process.argv[2]);
  await page.waitForFunction(() => document.title.startsWith('open'));
  say({ title: await page.title() });
  await page.evaluate(() => fetch('/rows', { method: 'POST' })); // the application sends the rest and closes
  const link = page.locator('a');
  await link.waitFor({ timeout: 60000 });
  const [download] = await Promise.all([page.waitForEvent('download'), link.click()]);
  say({ title: await page.title(), saved: download.suggestedFilename() });
} finally {
  await browser.close();
}
