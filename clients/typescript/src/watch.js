import { Calls } from './calls.js';
import { sleep } from './retry.js';
import { settingsOf } from './settings.js';
import { hasEnded, statusOf } from './status.js';

/** @typedef {import('./status.js').Status} Status */

/**
 * What an export is, as often as that changes, until it has ended: of a watch address, without an API key. Runs in
 * browsers, on a page of any site, and in Node. Nothing of Node is imported here.
 *
 * A change of the state is seen at once, how far it is every `seconds`. The file is at `${url}/file`.
 *
 * @param {string | URL} url the watch address
 * @param {{ seconds?: number, signal?: AbortSignal } & Partial<import('./settings.js').Settings>} [options]
 * @returns {AsyncGenerator<Status, void, undefined>}
 * @throws {import('./errors.js').SluiceError} such as TASK_NOT_FOUND; and when the service was not reached in all tries
 */
export async function* watch(url, { seconds = 2, signal, ...settings } = {}) {
  const address = new URL(url, globalThis.document?.baseURI);
  const path = address.pathname.replace(/\/$/, '');
  // Errors name the server alone: the path opens the file.
  const calls = new Calls(address.origin, '', settingsOf(settings));
  let seen = '';
  for (;;) {
    const answer = await calls.json('GET', `${path}?wait=${seconds}`, { signal });
    const status = statusOf(answer);
    const text = JSON.stringify(answer);
    if (text !== seen) yield status;
    if (hasEnded(status)) return;
    seen = text;
    await sleep(0.1, signal); // a service that stops answers at once
  }
}
