import { UsageError } from './errors.js';

/** @typedef {Iterable<unknown> | AsyncIterable<unknown>} Rows */
/** @typedef {{ done?: boolean, value?: unknown }} Step */

/** Reads rows one by one; waiting for the next ends when the reader is interrupted. */
export class RowReader {
  #iterator;
  /** @type {((error: unknown) => void) | null} ends the waiting */
  #reject = null;
  /** @type {{ error: unknown } | null} */
  #interrupted = null;
  #isOver = false;

  /**
   * @param {Rows} rows
   * @throws {UsageError} for what is no iterable, and for what was read before
   */
  constructor(rows) {
    const source = /** @type {any} */ (rows);
    const make =
      typeof rows === 'object' && rows !== null ? (source[Symbol.asyncIterator] ?? source[Symbol.iterator]) : undefined;
    if (typeof make !== 'function') {
      const what = typeof source?.then === 'function' ? 'a promise: await it first' : typeof rows;
      throw new UsageError(`Rows are an iterable or an async iterable of rows, not ${what}.`);
    }
    takeOnce(rows);
    this.#iterator = make.call(rows);
    if (this.#iterator !== rows) takeOnce(this.#iterator); // a source may give the same one again
  }

  /**
   * The next row, at once where the source has it at once.
   *
   * @returns {Step | Promise<Step>}
   */
  next() {
    if (this.#interrupted !== null) throw this.#interrupted.error;
    const step = this.#iterator.next();
    if (typeof step.then === 'function') return this.#waited(step);
    if (typeof step.value?.then === 'function') {
      return this.#waited(step.value.then((/** @type {unknown} */ value) => ({ done: step.done, value })));
    }
    this.#isOver = step.done;
    return step;
  }

  /** @param {unknown} error that whoever waits for a row gets */
  interrupt(error) {
    this.#interrupted = { error };
    this.#reject?.(error);
  }

  /** Lets the source go; what it says then changes nothing. */
  async close() {
    if (this.#isOver) return;
    try {
      const closed = this.#iterator.return?.();
      if (this.#reject === null)
        await closed; // a source that is waited for would close only behind its next row
      else closed?.catch?.(() => {});
    } catch {
      // what failed before is what matters
    }
  }

  /**
   * @param {PromiseLike<Step>} step
   * @returns {Promise<Step>}
   */
  #waited(step) {
    return new Promise((resolve, reject) => {
      this.#reject = reject;
      step.then(
        (one) => {
          this.#reject = null;
          this.#isOver = one.done === true;
          resolve(one);
        },
        (error) => {
          this.#reject = null;
          this.#isOver = true;
          reject(error);
        },
      );
    });
  }
}

/** Sources that were read, of all exports: they go on behind the last row, so that another reading would miss the first. */
const readBefore = new WeakSet();

/**
 * @param {any} rows
 * @throws {UsageError} for such a source that was taken before, also by an export that failed
 */
function takeOnce(rows) {
  if (!['next', 'getReader', 'pipe'].some((name) => typeof rows?.[name] === 'function')) return;
  if (readBefore.has(rows)) {
    throw new UsageError('These rows were read before: run the query again, or make the generator anew.');
  }
  readBefore.add(rows);
}
