/** Gives the element another export to follow while an answer about the first is on its way; says what it shows then. */
import { launched } from './launch.mjs';

const browser = await launched();
try {
  const page = await browser.newPage();
  const answer = (route, seen) => route.fulfill({ json: seen, headers: { 'Access-Control-Allow-Origin': '*' } });
  let late;
  await page.route('**/v1/watch/*/events', (route) => route.fulfill({ status: 404 })); // as behind a proxy that keeps streams back
  await page.route('**/v1/watch/a', (route) => { late = route; });
  await page.route('**/v1/watch/b', (route) => answer(route, { state: 'open', rows_received: 7, progress_percent: 0 }));
  await page.goto(process.argv[2]);
  const element = page.locator('sluice-export');
  const watch = (name) => element.evaluate((it, address) => it.setAttribute('watch', address), `${new URL(process.argv[2]).origin}/v1/watch/${name}`);
  await watch('a');
  while (late === undefined) {
    await page.waitForTimeout(20);
  }
  await watch('b');
  await element.locator('[role=status]', { hasText: '7' }).waitFor();
  await answer(late, { state: 'completed', filename: 'a.csv', progress_percent: 100 });
  await page.waitForTimeout(200);
  console.log(JSON.stringify({ status: await element.locator('[role=status]').textContent(), links: await element.locator('a:not([hidden])').count() }));
} finally {
  await browser.close();
}
