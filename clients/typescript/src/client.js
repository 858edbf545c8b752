import { Calls } from './calls.js';
import { TransportError, UsageError } from './errors.js';
import { Export } from './export.js';
import { settingsOf } from './settings.js';
import { statusOf } from './status.js';

/** @typedef {Partial<import('./settings.js').Settings> & { key?: string }} ClientOptions */

/** @type {Record<string, string>} */
const FORMATS = { xlsx: 'xlsx', csv: 'csv', jsonl: 'jsonl', ndjson: 'jsonl', parquet: 'parquet' };

/** One Sluice service, reached with one API key. The key goes to that server only, and is in no dump of this object. */
export class Client {
  #calls;

  /**
   * @param {string} url such as `https://exports.example.com`
   * @param {ClientOptions} [options] the API key, and settings
   * @throws {UsageError} for an address, a key or a setting that can be none
   */
  constructor(url, { key = '', ...settings } = {}) {
    this.#calls = new Calls(url, key, settingsOf(settings));
  }

  /**
   * The client of the environment: SLUICE_URL (by default the service on this machine), SLUICE_KEY.
   *
   * @param {ClientOptions} [options]
   */
  static fromEnv(options = {}) {
    const { SLUICE_URL: url, SLUICE_KEY: key } = process.env;
    return new Client(url || 'http://127.0.0.1:9091', { key, ...options });
  }

  /**
   * Describes an export; nothing is sent yet.
   *
   * @param {string} filename
   * @param {import('./export.js').ExportOptions & { format?: string }} [options] what it is; the format is by
   *   default what the name ends with: xlsx, csv, jsonl or parquet
   */
  export(filename, { format, ...options } = {}) {
    const ending = /\.([^./\\]+)$/.exec(filename)?.[1]?.toLowerCase() ?? '';
    const known = format ?? (Object.hasOwn(FORMATS, ending) ? FORMATS[ending] : undefined);
    if (known === undefined) {
      const endings = Object.keys(FORMATS).join(', .');
      throw new UsageError(`The name "${filename}" says no format; it ends with .${endings}, or the options have one.`);
    }
    return new Export(this.#calls, { filename, format: known }, options);
  }

  /**
   * Takes up an export by its id, in another process too; nothing is asked yet.
   *
   * @param {string} taskId
   * @param {Pick<import('./export.js').ExportOptions, 'onProgress'>} [options]
   */
  find(taskId, { onProgress } = {}) {
    if (typeof taskId !== 'string' || taskId === '') {
      throw new UsageError('find() takes the id of an export, as id() gave it.');
    }
    return new Export(this.#calls, { filename: '', format: '' }, { onProgress }, taskId);
  }

  /**
   * All exports of this key's tenant, newest first; pages are fetched as they are read.
   *
   * @param {import('./export.js').Abortable & { state?: string }} [filter] only those in this state
   * @returns {AsyncGenerator<import('./status.js').Status, void, undefined>}
   */
  async *list({ state, signal } = {}) {
    const seen = new Set();
    for (let cursor = ''; !seen.has(cursor);) {
      seen.add(cursor);
      const query = new URLSearchParams({ ...(state && { state }), ...(cursor && { cursor }), limit: '100' });
      const page = await this.#calls.json('GET', `/v1/exports?${query}`, { signal });
      const next = page.cursor ?? '';
      if (!Array.isArray(page.tasks) || typeof next !== 'string') break;
      for (const task of page.tasks) yield statusOf(task ?? {});
      if (next === '') return;
      cursor = next;
    }
    throw new TransportError('the answer is no page of a list', 'UNEXPECTED_ANSWER');
  }
}
