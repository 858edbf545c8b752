/** Presses the two buttons of a dialog and saves the file; says in lines of JSON what is seen. */
import { launched } from './launch.mjs';

const [address, target] = process.argv.slice(2);
const say = (what) => console.log(JSON.stringify(what));
const browser = await launched();
try {
  const page = await (await browser.newContext({ acceptDownloads: true, locale: 'en' })).newPage();
  const isOurs = (message) => message.type() === 'error' && !message.location().url.endsWith('/favicon.ico');
  page.on('console', (message) => isOurs(message) && say({ error: message.text() }));
  page.on('pageerror', (error) => say({ error: String(error) }));
  await page.goto(address);
  await page.getByRole('button', { name: 'Export…' }).click();
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Export', exact: true }).click()]);
  await download.saveAs(target);
  say({ saved: download.suggestedFilename() });
} finally {
  await browser.close();
}
