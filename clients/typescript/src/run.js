import { Definition } from './definition.js';
import { NotReadyError, SluiceError, UsageError } from './errors.js';
import { BEGINNING, counted } from './progress.js';
import { bounded, now, orAborted, sleep } from './retry.js';
import { Sender } from './sender.js';
import { failureOf, statusOf } from './status.js';
import { OWN_KEYS, Task, newKey, openTask } from './task.js';

/** @typedef {import('./row-reader.js').Rows} Rows */
/** @typedef {import('./status.js').Status} Status */
/** @typedef {import('./progress.js').Progress} Progress */

/** Seconds between two looks at what another run may be sending. */
const LOOK_SECONDS = 0.5;
/** What a cancel answers for an export that is over without a file. */
const OVER = ['EXPIRED', 'TASK_CLOSED', 'TASK_DELETED'];

/**
 * What this process does with one export: opens it under its key, sends its rows, closes it, begins it anew. Calls that
 * change it take turns in the order in which they were made.
 */
export class Run {
  /** Whether it was found by its id, so that only the service knows what it is. @readonly */
  isFound;
  #calls;
  #definition;
  #key;
  #keyIsOurs;
  #onProgress;
  /** @type {Task | null} */
  #task;
  /** As last answered. @type {Status | null} */
  #status = null;
  /** Of the export that is open; made with its first rows. @type {Sender | null} */
  #sender = null;
  #isClosedHere = false;
  #progress = BEGINNING;
  /** The end of what was begun last. @type {Promise<unknown>} */
  #turn = Promise.resolve();

  /**
   * @param {import('./calls.js').Calls} calls
   * @param {{ filename: string, format: string }} file
   * @param {import('./export.js').ExportOptions} options
   * @param {string} taskId of one that is found; or the empty text
   */
  constructor(calls, file, { key, onProgress, ...described }, taskId) {
    if (key !== undefined && (typeof key !== 'string' || !/^[^\x00-\x1f\x7f\p{Surrogate}]+$/u.test(key))) {
      throw new UsageError('A key is printable text.');
    }
    if (key !== undefined && key.trim() !== key) {
      throw new UsageError('A key has no blanks at its ends: HTTP takes them away, and two keys would be one.');
    }
    if (key?.startsWith(OWN_KEYS)) throw new UsageError(`No key begins with '${OWN_KEYS}': the client makes such keys.`);
    this.isFound = taskId !== '';
    this.#calls = calls;
    this.#definition = new Definition(file, described);
    this.#key = key ?? '';
    this.#keyIsOurs = key === undefined;
    this.#onProgress = onProgress;
    this.#task = this.isFound ? new Task(calls, taskId) : null;
  }

  /**
   * The export of the service; a call that opens it waits for its turn.
   *
   * @param {AbortSignal} [signal]
   */
  async ready(signal) {
    return this.#task ?? this.#inTurn(() => this.#opened(signal), signal);
  }

  /**
   * Sends a whole table, and closes once all are sent.
   *
   * @param {Rows} rows
   * @param {string} sheet
   * @param {AbortSignal} [signal]
   */
  write(rows, sheet, signal) {
    return this.#inTurn(async () => {
      this.#refuseFound('write()');
      if (this.#isClosedHere) {
        const steps = 'In steps: push(), push(), close().';
        throw new UsageError(`write() has closed this export: of one table it takes all rows at once. ${steps}`);
      }
      const task = await this.#opened(signal);
      if (this.#status?.state !== 'open') return;
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
    }, signal);
  }

  /**
   * Sends rows in batches that are numbered in the order of the calls.
   *
   * @param {Rows} rows
   * @param {string} sheet
   * @param {AbortSignal} [signal]
   */
  push(rows, sheet, signal) {
    return this.#inTurn(async () => {
      this.#refuseFound('push() without a number');
      await this.#send(await this.#opened(signal), rows, sheet, signal);
    }, signal);
  }

  /**
   * Sends rows as the one batch of this number; without a turn, since such batches are independent.
   *
   * @param {Rows} rows
   * @param {string} sheet
   * @param {number} sequence
   * @param {AbortSignal} [signal]
   */
  async pushNumbered(rows, sheet, sequence, signal) {
    if (!Number.isSafeInteger(sequence)) throw new UsageError('The number of a batch is a whole one, from 1.');
    const task = await this.ready(signal);
    await this.#sending(task).sendNumbered(rows, this.#how(task, sheet, signal), sequence);
  }

  /**
   * @param {{ batches?: number, rows?: number }} totals
   * @param {AbortSignal} [signal]
   */
  close(totals, signal) {
    return this.#inTurn(async () => this.#close(await this.#opened(signal), totals, signal), signal);
  }

  /**
   * Waits for the file; refuses to where nothing closes the export.
   *
   * @param {number} seconds
   * @param {AbortSignal} [signal]
   */
  async wait(seconds, signal) {
    await bounded(seconds, signal, (end) => orAborted(this.#turn, end)).catch((error) => {
      throw signal?.aborted ? error : stillSends(this.#task);
    });
    if (this.#task === null && this.#keyIsOurs) throw new UsageError('Nothing was written that could be waited for.');
    const task = await this.ready(signal);
    if (!this.isFound && this.#status?.state === 'open' && !this.#sending(task).isNumbered) {
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

  /** @param {AbortSignal} [signal] */
  async status(signal) {
    this.#status = await (await this.ready(signal)).status(signal);
    return this.#status;
  }

  /**
   * Gives up what was sent under the key, the file too.
   *
   * @param {AbortSignal} [signal]
   */
  restart(signal) {
    return this.#inTurn(async () => {
      this.#refuseFound('restart()');
      const task = await this.#opened(signal);
      this.#status = await task.status(signal);
      if (this.#status.state !== 'open' || this.#status.batches > 0) {
        await task.json('DELETE', '', { signal });
        this.#task = null;
      }
      await this.#begin(signal);
    }, signal);
  }

  /**
   * Gives up what a run has left half-way; what another one has closed, or is sending, stays.
   *
   * @param {number} seconds
   * @param {AbortSignal} [signal]
   * @returns {Promise<boolean>} whether it begins anew
   */
  restartIfStopped(seconds, signal) {
    return this.#inTurn(async () => {
      this.#refuseFound('restartIfStopped()');
      const task = await this.#opened(signal);
      if (!(await this.#hasStopped(task, seconds, signal))) return false;
      await this.#begin(signal);
      return true;
    }, signal);
  }

  /**
   * Whether there is no file of the export, and no run that sends it. One that was left half-way is cancelled, never
   * deleted: that of a run which has finished it meanwhile refuses to be.
   *
   * @param {Task} task
   * @param {number} seconds
   * @param {AbortSignal} [signal]
   */
  async #hasStopped(task, seconds, signal) {
    const until = now() + seconds;
    try {
      let seen = await task.status(signal);
      while (seen.state === 'open' && seen.batches > 0 && now() < until) {
        await sleep(Math.min(LOOK_SECONDS, seconds / 4), signal);
        const later = await task.status(signal);
        if (later.state === 'open' && later.batches !== seen.batches) throw anotherSends(task);
        seen = later;
      }
      this.#status = seen;
      if (seen.state === 'open' && seen.batches === 0) return true;
      if (seen.state === 'open') await task.json('POST', '/cancel', { body: {}, signal });
      else if (failureOf(seen) === null) return false;
    } catch (error) {
      const code = error instanceof SluiceError ? error.code : '';
      if (code === 'ALREADY_COMPLETED') {
        this.#status = await task.status(signal);
        return false;
      }
      if (!OVER.includes(code)) throw error;
    }
    this.#task = null;
    return true;
  }

  /** @param {AbortSignal} [signal] */
  async #begin(signal) {
    await this.#opened(signal);
    this.#isClosedHere = false;
    this.#sender = null;
    this.#progress = BEGINNING;
  }

  /**
   * @template T
   * @param {() => Promise<T>} action
   * @param {AbortSignal} [signal] ends the waiting for the turn
   * @returns {Promise<T>}
   */
  #inTurn(action, signal) {
    const before = this.#turn;
    const done = orAborted(before, signal).then(action);
    this.#turn = Promise.allSettled([before, done]); // one that was aborted before its turn lets nobody pass
    return done;
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
    if (given.batches === undefined && given.rows === undefined && !sender.isNumbered && !this.isFound) {
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
    if (this.isFound) {
      const takes = 'one that was found by its id takes push(rows, { sequence }) and close()';
      throw new UsageError(`${what} is for exports that are described here; ${takes}.`);
    }
  }
}

/** @param {Task} task */
function anotherSends(task) {
  const known = { taskId: task.id, retryable: true, who: 'client' };
  return new NotReadyError('Another run is sending under this key', 'NOT_READY', known);
}

/** @param {Task | null} task */
function stillSends(task) {
  const known = { taskId: task?.id ?? '', retryable: true, who: /** @type {const} */ ('client') };
  return new NotReadyError('Another call of this export is still sending', 'NOT_READY', known);
}
