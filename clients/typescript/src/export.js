import { Definition } from './definition.js';
import { UsageError } from './errors.js';
import { BEGINNING, counted } from './progress.js';
import { takeOnce } from './row-reader.js';
import { Sender } from './sender.js';
import { statusOf } from './status.js';
import { OWN_KEYS, Task, newKey, openTask } from './task.js';

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
  #definition;
  #key;
  #keyIsOurs;
  #onProgress;
  #isFound;
  /** @type {Task | null} */
  #task;
  /** @type {Status | null} */
  #status = null;
  /** @type {Sender | null} of the export that is open; made with its first rows */
  #sender = null;
  #isClosedHere = false;
  #progress = BEGINNING;
  /** The end of what was begun last. @type {Promise<unknown>} */
  #turn = Promise.resolve();

  /**
   * Made by `client.export()` and `client.find()`.
   *
   * @param {import('./calls.js').Calls} calls
   * @param {{ filename: string, format: string }} file
   * @param {ExportOptions} options
   * @param {string} [taskId] of one that is found by its id, so that only the service knows what it is
   */
  constructor(calls, file, { key, onProgress, ...described }, taskId = '') {
    if (key !== undefined && (typeof key !== 'string' || !/^[^\x00-\x1f\x7f\p{Surrogate}]+$/u.test(key))) {
      throw new UsageError('A key is printable text.');
    }
    if (key?.startsWith(OWN_KEYS)) throw new UsageError(`No key begins with '${OWN_KEYS}': the client makes such keys.`);
    this.#calls = calls;
    this.#definition = new Definition(file, described);
    this.#key = key ?? '';
    this.#keyIsOurs = key === undefined;
    this.#onProgress = onProgress;
    this.#isFound = taskId !== '';
    this.#task = this.#isFound ? new Task(calls, taskId) : null;
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
  write(rows, { sheet = '', signal } = {}) {
    return this.#inTurn(async () => {
      this.#refuseFound('write()');
      if (this.#isClosedHere) {
        const steps = 'In steps: push(), push(), close().';
        throw new UsageError(`write() has closed this export: of one table it takes all rows at once. ${steps}`);
      }
      const task = await this.#opened(signal);
      if (this.#status?.state !== 'open') return this;
      try {
        await this.#send(task, rows, sheet, signal);
        if (this.#unwritten(task).length === 0) await this.#close(task, {}, signal);
      } catch (error) {
        if (this.#keyIsOurs) {
          // another write() begins anew
          await task.giveUp();
          this.#key = '';
          this.#task = this.#sender = null;
        }
        throw error;
      }
      return this;
    });
  }

  /**
   * Opens the export, or finds the one of its key. One that has ended without a file, or was deleted, is over: then the
   * key begins a new one.
   *
   * @param {Abortable} [how]
   * @returns {Promise<this>}
   */
  async open({ signal } = {}) {
    await this.#ready(signal);
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
    if (sequence === undefined) {
      return this.#inTurn(async () => {
        this.#refuseFound('push() without a number');
        await this.#send(await this.#opened(signal), rows, sheet, signal);
        return this;
      });
    }
    if (!Number.isSafeInteger(sequence)) throw new UsageError('The number of a batch is a whole one, from 1.');
    const task = await this.#ready(signal);
    await this.#sending(task).sendNumbered(rows, this.#how(task, sheet, signal), sequence);
    return this;
  }

  /**
   * Fixes the rows and has the file written. Totals are checked: those that are given, else those that were counted
   * here, unless the numbers of batches were yours.
   *
   * @param {Abortable & { batches?: number, rows?: number }} [totals]
   * @returns {Promise<this>}
   */
  close({ signal, ...totals } = {}) {
    return this.#inTurn(async () => {
      await this.#close(await this.#opened(signal), totals, signal);
      return this;
    });
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
    await this.#turn;
    if (this.#task === null && this.#keyIsOurs) throw new UsageError('Nothing was written that could be waited for.');
    const task = await this.#ready(signal);
    if (!this.#isFound && this.#status?.state === 'open' && !this.#sending(task).isNumbered) {
      const missing = this.#unwritten(task)
        .map((name) => `sheet ${name} is not written`)
        .join(', ');
      throw new UsageError(`Nothing closes this export: ${missing || 'close() is missing'}.`);
    }
    return task.wait(seconds, signal, (status) => {
      this.#status = status;
      this.#report({ ...this.#progress, state: status.state, percent: status.percent });
    });
  }

  /**
   * As it is now.
   * @param {Abortable} [how]
   * @returns {Promise<Status>}
   */
  async status({ signal } = {}) {
    this.#status = await (await this.#ready(signal)).status(signal);
    return this.#status;
  }

  /**
   * The id by which any process finds this export again.
   * @param {Abortable} [how]
   */
  async id({ signal } = {}) {
    return (await this.#ready(signal)).id;
  }

  /**
   * A link to the file that works without the API key for a while. Made anew at each call: hand it out, do not keep it.
   *
   * @param {Abortable} [how]
   * @throws {import('./errors.js').NotReadyError} while there is no file
   */
  async url({ signal } = {}) {
    return (await this.#ready(signal)).link(signal);
  }

  /**
   * An address at which a browser sees this export, follows its events and fetches its file, without the API key and
   * from a page of any site: hand it to the page of who asked. Null where the service offers none, and for an export
   * that was found by its id.
   *
   * @param {Abortable} [how]
   */
  async watchUrl({ signal } = {}) {
    return (await this.#ready(signal)).watchUrl;
  }

  /**
   * Saves the file: whole and with the checksum that the service recorded, or not at all. What is cut goes on.
   *
   * @param {string} path
   * @param {Abortable} [how]
   * @returns {Promise<this>}
   */
  async saveTo(path, { signal } = {}) {
    await (await (await this.#ready(signal)).download(signal)).saveTo(path);
    return this;
  }

  /**
   * The whole, checked file as a stream of Node, over a temporary file that goes with it: read it, or destroy it.
   *
   * @param {Abortable} [how]
   */
  async stream({ signal } = {}) {
    return (await (await this.#ready(signal)).download(signal)).stream();
  }

  /**
   * Another file of the same rows.
   *
   * @param {string} format
   * @param {Abortable & { options?: Record<string, unknown>, filename?: string }} [how] options in place of all of this
   *   export
   */
  async renderAs(format, { options, filename, signal } = {}) {
    const id = await (await this.#ready(signal)).render({ format, options, filename }, signal);
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
    await (await this.#ready(signal)).json('POST', '/cancel', { body: {}, signal });
    return this;
  }

  /**
   * Deletes an export that has ended, its file and its rows; cancels one that is running.
   *
   * @param {Abortable} [how]
   * @returns {Promise<this>}
   */
  async delete({ signal } = {}) {
    await (await this.#ready(signal)).json('DELETE', '', { signal });
    return this;
  }

  /**
   * Gives up what was sent under the key, and begins anew: for a source that has changed. Ends the export of this key
   * where it runs, deletes it where it is finished; later runs under the key go on with the new one.
   *
   * @param {Abortable} [how]
   * @returns {Promise<this>}
   */
  restart({ signal } = {}) {
    return this.#inTurn(async () => {
      this.#refuseFound('restart()');
      const task = await this.#opened(signal);
      this.#status = await task.status(signal);
      if (this.#status.state !== 'open' || this.#status.batches > 0) {
        await task.json('DELETE', '', { signal });
        this.#task = null;
        await this.#opened(signal);
      }
      this.#isClosedHere = false;
      this.#sender = null;
      this.#progress = BEGINNING;
      return this;
    });
  }

  /**
   * @template T
   * @param {() => Promise<T>} action
   * @returns {Promise<T>}
   */
  #inTurn(action) {
    const done = this.#turn.then(action);
    this.#turn = done.catch(() => {});
    return done;
  }

  /**
   * The export of the service; a call that opens it waits for its turn.
   *
   * @param {AbortSignal} [signal]
   */
  async #ready(signal) {
    return this.#task ?? this.#inTurn(() => this.#opened(signal));
  }

  /** @param {AbortSignal} [signal] */
  async #opened(signal) {
    if (this.#task === null) {
      this.#key ||= newKey();
      const { task, status } = await openTask(this.#calls, this.#key, this.#definition.body(), signal);
      this.#task = task;
      this.#status = status;
    }
    return this.#task;
  }

  /**
   * @param {Task} task
   * @param {Rows} rows
   * @param {string} sheet
   * @param {AbortSignal} [signal]
   */
  async #send(task, rows, sheet, signal) {
    takeOnce(rows);
    await this.#sending(task).send(rows, this.#how(task, sheet, signal));
  }

  /**
   * @param {Task} task
   * @param {{ batches?: number, rows?: number }} given
   * @param {AbortSignal} [signal]
   */
  async #close(task, given, signal) {
    const sender = this.#sending(task);
    /** @type {Record<string, unknown>} */
    let totals = given;
    if (given.batches === undefined && given.rows === undefined && !sender.isNumbered && !this.#isFound) {
      if (this.#status?.state !== 'open') return;
      const sheets = this.#definition.sheetNames.map((name) => [name, sender.rows.get(name) ?? 0]);
      const rows = [...sender.rows.values()].reduce((sum, one) => sum + one, 0);
      totals = { batches: sender.batches, rows, ...(sheets.length > 0 && { sheets: Object.fromEntries(sheets) }) };
    }
    this.#status = statusOf(await task.json('POST', '/close', { body: totals, signal }));
    this.#isClosedHere = true;
  }

  /** @param {Task} task */
  #sending(task) {
    this.#sender ??= new Sender(this.#calls, task);
    return this.#sender;
  }

  /**
   * @param {Task} task
   * @param {string} sheet
   * @param {AbortSignal} [signal]
   * @returns {import('./sender.js').Sending}
   */
  #how(task, sheet, signal) {
    const encoder = this.#definition.encoder(sheet, this.#calls.settings.surrogates === 'substitute');
    const sender = this.#sending(task);
    const { expectedRows } = this.#definition;
    const onBatch = (/** @type {import('./sender.js').Stored} */ stored) =>
      this.#report(counted(this.#progress, stored, sender.retries, expectedRows));
    return { encoder, sheet, signal, onBatch };
  }

  /** @param {Progress} progress */
  #report(progress) {
    this.#progress = Object.freeze(progress);
    this.#onProgress?.(progress);
  }

  /**
   * Declared sheets that were not written here yet.
   *
   * @param {Task} task
   */
  #unwritten(task) {
    return this.#definition.sheetNames.filter((name) => !this.#sending(task).rows.has(name));
  }

  /** @param {string} what */
  #refuseFound(what) {
    if (this.#isFound) {
      const takes = 'one that was found by its id takes push(rows, { sequence }) and close()';
      throw new UsageError(`${what} is for exports that are described here; ${takes}.`);
    }
  }
}
