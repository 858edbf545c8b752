/**
 * The calls of one dataset of a Sluice service, for the user of a page: what they may ask, the export, what they had.
 *
 *   const orders = new DatasetCalls('https://sluice.example.com/v1/datasets/orders', async () => token);
 *   const got = await orders.export({ format: 'xlsx' });   // {blob, filename, …}, or the watch address
 *
 * The token is a JSON Web Token of the user, which the page has from its own server; it goes into one header and
 * nowhere else. Refused, it is asked for anew once. A call that was cut off, or met a service that is busy, is made
 * again under its key, so that it makes one export. `sluice-export-dialog.js` is the dialog over it.
 */

import { NotStarted } from './sluice-export.js';

const PAUSES_MS = [1000, 2000, 4000, 8000];
/** Shorter where someone waits for a form: a page that is not allowed to ask looks cut off as well. */
const QUESTION_PAUSES_MS = [250, 500, 1000, 2000];
const WAIT_MS_MAX = 10_000;
const BUSY = [502, 503, 504];

/** A key that no other click has. `crypto.randomUUID` is only there on pages of https. */
const newKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');

export class DatasetCalls {
  #address;
  #token;
  /** Of the last call for an export: its key, and what was asked for. */
  #last;

  /** `token` returns, or promises, the user's token; it gets `{refused}`, the one that the service did not take. */
  constructor(address, token) {
    const url = new URL(address, document.baseURI);
    if (!/^https?:$/.test(url.protocol) || url.username || url.search || url.hash) {
      throw new TypeError(`${address} is no address of a dataset, as https://sluice.example.com/v1/datasets/orders is`);
    }
    this.#address = url.href.replace(/\/$/, '');
    this.#token = token;
  }

  /** What the user may ask: `columns` (`name`, `label`, `masked`), `filters`, `date`, `selectable`, `formats`, bounds. */
  async describe() {
    return this.#askUntilAnswered('', {}, said);
  }

  /** The user's own exports, newest first, each as it is now, with its `watch_url`. */
  async exports() {
    return (await this.#askUntilAnswered('/exports', {}, said)).exports;
  }

  /**
   * Asks for an export; returns its file, `{blob, filename, rows_written, task_id}`, or its watch address. Until
   * `forget` is called, the same again is the same export, also where the call had no answer. `say` gets `lost` or
   * `busy` when the call is made again. Throws `NotStarted`.
   */
  async export(asked, say = () => {}) {
    const body = JSON.stringify(asked);
    this.#last = this.#last?.body === body ? this.#last : { body, key: newKey() };
    const headers = { 'Content-Type': 'application/json', 'Idempotency-Key': this.#last.key };
    try {
      return await this.#askUntilAnswered('/exports', { method: 'POST', headers, body }, received, say);
    } catch (error) {
      if (!error.mayHaveStarted) {
        this.forget();
      }
      throw error;
    }
  }

  /** The next export is another one, whatever is asked for. */
  forget() {
    this.#last = undefined;
  }

  async #askUntilAnswered(path, call, read, say = () => {}) {
    const pauses = call.method ? PAUSES_MS : QUESTION_PAUSES_MS;
    for (let tries = 0; ; tries++) {
      try {
        return await read(await this.#ask(path, call));
      } catch (error) {
        if (!error.mayHaveStarted || tries === pauses.length) {
          throw error;
        }
        say(error.status ? 'busy' : 'lost');
        const wait = Math.max(pauses[tries], 1000 * (error.facts.retry_after_s || 0));
        await new Promise((resolve) => setTimeout(resolve, Math.min(wait, WAIT_MS_MAX)));
      }
    }
  }

  /** One call, with the user's token: with another one if that is refused. Throws for an answer that is no 2xx. */
  async #ask(path, call = {}) {
    const token = await this.#signedIn({});
    let answer = await this.#send(path, call, token);
    if (answer.status === 401) {
      answer = await this.#send(path, call, await this.#signedIn({ refused: token }));
    }
    if (!answer.ok) {
      const facts = await answer.json().catch(() => null);
      const seconds = Number(answer.headers.get('Retry-After'));
      throw failed({ retry_after_s: seconds, ...facts, status: answer.status }, BUSY.includes(answer.status));
    }
    return answer;
  }

  async #signedIn(how) {
    try {
      const token = String((await this.#token(how)) ?? '').trim();
      if (/[^\x21-\x7e]/.test(token)) {
        throw new TypeError(`no token, but a text that begins with ${JSON.stringify(token.slice(0, 20))}`);
      }
      return token;
    } catch (error) {
      console.error('getToken() of the page has given no token of its user:', error);
      throw failed({ status: 401, code: 'UNAUTHENTICATED' }, false);
    }
  }

  async #send(path, call, token) {
    const headers = { Accept: 'application/json, */*', ...call.headers, ...(token && { Authorization: `Bearer ${token}` }) };
    // A redirect would take the token along, or lead to a page of a login that is no answer.
    return fetch(this.#address + path, { ...call, headers, cache: 'no-store', redirect: 'error' }).catch(cut);
  }
}

function failed(facts, mayHaveStarted) {
  return Object.assign(new NotStarted(facts), { mayHaveStarted });
}

function cut() {
  throw failed({ status: 0 }, true);
}

const said = (answer) => answer.json().catch(cut);

/** The watch address; or the whole file, of the size and digest that the answer says where the browser shows them. */
async function received(answer) {
  if (answer.status === 202) {
    return (await said(answer)).watch_url;
  }
  const { headers } = answer;
  const blob = await answer.blob().catch(cut);
  const size = headers.get('Content-Length');
  const digest = /(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]+):/.exec(headers.get('Repr-Digest') ?? '')?.[1];
  if (size !== null && !headers.has('Content-Encoding') && Number(size) !== blob.size) {
    cut();
  }
  if (digest && crypto.subtle && (await sha256(blob)) !== digest) {
    cut();
  }
  return {
    blob,
    filename: nameIn(headers.get('Content-Disposition') ?? ''),
    rows_written: Number(headers.get('Sluice-Rows')),
    task_id: headers.get('Sluice-Task'),
  };
}

async function sha256(blob) {
  const digest = await crypto.subtle.digest('SHA-256', await blob.arrayBuffer());
  return btoa(String.fromCharCode(...new Uint8Array(digest)));
}

/** The name of a Content-Disposition: the one in UTF-8 before the one for old browsers. */
function nameIn(header) {
  const encoded = /filename\*\s*=\s*UTF-8''([^;\s]+)/i.exec(header)?.[1];
  try {
    if (encoded) {
      return decodeURIComponent(encoded);
    }
  } catch {
    // it is none after all
  }
  return /filename\s*=\s*"([^"]*)"/i.exec(header)?.[1] ?? 'export';
}
