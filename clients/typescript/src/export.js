import { Run } from './run.js';

/** @typedef {import('./row-reader.js').Rows} Rows */
/** @typedef {import('./status.js').Status} Status */
/** @typedef {import('./progress.js').Progress} Progress */
/** @typedef {{ signal?: AbortSignal }} Abortable a call that throws the signal's reason once it is aborted */
/**
 * @typedef {object} Naming
 * @property {string} [key] that your program knows again after a crash: the same key goes on with the same export
 * @property {(progress: Progress) => void} [onProgress] called after each acknowledged batch, and while waiting
 */
/** @typedef {import('./definition.js').Described & Naming} ExportOptions */

/**
 * One export: rows go in, a file comes out.
 *
 * Rows are sent in numbered batches, some at a time; a batch that is acknowledged is stored. Every call may be
 * repeated: under the same key the same export is opened, and what the service has is acknowledged again. Calls that
 * open, send and close take turns in the order in which they were made.
 */
export class Export {
  #calls;
  #run;

  /**
   * Made by `client.export()` and `client.find()`.
   *
   * @param {import('./calls.js').Calls} calls
   * @param {{ filename: string, format: string }} file
   * @param {ExportOptions} options
   * @param {string} [taskId] of one that is found by its id, so that only the service knows what it is
   */
  constructor(calls, file, options, taskId = '') {
    this.#calls = calls;
    this.#run = new Run(calls, file, options, taskId);
  }

  /**
   * Opens the export, sends the rows, and closes it with the totals counted; of several sheets, once all are written.
   *
   * What an earlier run under the same key has closed is not sent again. Without a key of yours, an export that fails
   * here is cancelled.
   *
   * @param {Rows} rows lists by place, or objects by name
   * @param {Abortable & { sheet?: string }} [how]
   * @returns {Promise<this>}
   */
  async write(rows, { sheet = '', signal } = {}) {
    await this.#run.write(rows, sheet, signal);
    return this;
  }

  /**
   * Opens the export, or finds the one of its key. One that has ended without a file, or was deleted, is over: then the
   * key begins a new one.
   *
   * @param {Abortable} [how]
   * @returns {Promise<this>}
   */
  async open({ signal } = {}) {
    await this.#run.ready(signal);
    return this;
  }

  /**
   * Sends rows and returns once the service has stored them.
   *
   * Without a number, rows are cut into batches that are numbered in the order of the calls. With one, they are one
   * batch: for jobs that run beside each other and know their place.
   *
   * @param {Rows} rows
   * @param {Abortable & { sheet?: string, sequence?: number }} [how]
   * @returns {Promise<this>}
   */
  async push(rows, { sheet = '', sequence, signal } = {}) {
    if (sequence === undefined) await this.#run.push(rows, sheet, signal);
    else await this.#run.pushNumbered(rows, sheet, sequence, signal);
    return this;
  }

  /**
   * Fixes the rows and has the file written. Totals are checked: those that are given, else those that were counted
   * here, unless the numbers of batches were yours.
   *
   * @param {Abortable & { batches?: number, rows?: number }} [totals]
   * @returns {Promise<this>}
   */
  async close({ signal, ...totals } = {}) {
    await this.#run.close(totals, signal);
    return this;
  }

  /**
   * Waits until the file is there.
   *
   * @param {number} [seconds]
   * @param {Abortable} [how]
   * @returns {Promise<Status>}
   * @throws {import('./errors.js').NotReadyError} when the seconds are over; the export goes on
   * @throws {import('./errors.js').ExportFailedError} when there will be no file
   */
  async wait(seconds = 300, { signal } = {}) {
    return this.#run.wait(seconds, signal);
  }

  /**
   * As it is now.
   * @param {Abortable} [how]
   * @returns {Promise<Status>}
   */
  async status({ signal } = {}) {
    return this.#run.status(signal);
  }

  /**
   * The id by which any process finds this export again.
   * @param {Abortable} [how]
   */
  async id({ signal } = {}) {
    return (await this.#run.ready(signal)).id;
  }

  /**
   * A link to the file that works without the API key for a while. Made anew at each call: hand it out, do not keep it.
   *
   * @param {Abortable} [how]
   * @throws {import('./errors.js').NotReadyError} while there is no file
   */
  async url({ signal } = {}) {
    return (await this.#run.ready(signal)).link(signal);
  }

  /**
   * An address at which a browser sees this export, follows its events and fetches its file, without the API key and
   * from a page of any site: hand it to the page of who asked. Null where the service offers none, and for an export
   * that was found by its id.
   *
   * @param {Abortable} [how]
   */
  async watchUrl({ signal } = {}) {
    return (await this.#run.ready(signal)).watchUrl;
  }

  /**
   * Saves the file: whole and with the checksum that the service recorded, or not at all. What is cut goes on.
   *
   * @param {string} path
   * @param {Abortable} [how]
   * @returns {Promise<this>}
   */
  async saveTo(path, { signal } = {}) {
    await (await (await this.#run.ready(signal)).download(signal)).saveTo(path);
    return this;
  }

  /**
   * The whole, checked file as a stream of Node, over a temporary file that goes with it: read it, or destroy it.
   *
   * @param {Abortable} [how]
   */
  async stream({ signal } = {}) {
    return (await (await this.#run.ready(signal)).download(signal)).stream();
  }

  /**
   * Another file of the same rows.
   *
   * @param {string} format
   * @param {Abortable & { options?: Record<string, unknown>, filename?: string }} [how] options in place of all of this
   *   export
   */
  async renderAs(format, { options, filename, signal } = {}) {
    const id = await (await this.#run.ready(signal)).render({ format, options, filename }, signal);
    return new Export(this.#calls, { filename: '', format: '' }, {}, id);
  }

  /**
   * Cancels an export that is running.
   *
   * @param {Abortable} [how]
   * @returns {Promise<this>}
   * @throws {import('./errors.js').RefusedError} ALREADY_COMPLETED where the file is there; nothing is deleted
   */
  async cancel({ signal } = {}) {
    await (await this.#run.ready(signal)).json('POST', '/cancel', { body: {}, signal });
    return this;
  }

  /**
   * Deletes an export that has ended, its file and its rows; cancels one that is running.
   *
   * @param {Abortable} [how]
   * @returns {Promise<this>}
   */
  async delete({ signal } = {}) {
    await (await this.#run.ready(signal)).json('DELETE', '', { signal });
    return this;
  }

  /**
   * For a source that has changed since a run that stopped half-way: gives up what that one has sent, and begins anew.
   * An export that failed, was cancelled or has expired meanwhile is begun anew, too. One that another run has closed
   * stays, with its file, and so does one that another run still sends, whose batches grow while this looks on.
   *
   * @param {number} [seconds] for which it looks on
   * @param {Abortable} [how]
   * @returns {Promise<boolean>} whether it begins anew, and all rows are to be written again
   * @throws {import('./errors.js').NotReadyError} while another run sends under this key
   */
  async restartIfStopped(seconds = 5, { signal } = {}) {
    return this.#run.restartIfStopped(seconds, signal);
  }

  /**
   * Gives up what was sent under the key, whoever sent it, and begins anew: ends the export of this key where it runs,
   * **deletes it where it is finished**; later runs under the key go on with the new one. `restartIfStopped()` deletes
   * no file.
   *
   * @param {Abortable} [how]
   * @returns {Promise<this>}
   */
  async restart({ signal } = {}) {
    await this.#run.restart(signal);
    return this;
  }
}
