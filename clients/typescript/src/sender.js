import { SluiceError } from './errors.js';
import { bodyOf } from './packing.js';
import { RowReader } from './row-reader.js';
import { Window } from './window.js';

/** Batches have the first size up to this number, then twice it, three times: 10,000 batches hold any table. */
const BATCHES_OF_ONE_SIZE = 2000;
/** What the service says of the place; the place in the table is said behind. */
const PLACE_IN_BATCH = /^Row [0-9]+ \(batch [0-9]+\)(?:, column "[^"]*")?: /;

/** @typedef {{ answer: Record<string, any>, bytes: number }} Stored an acknowledgement, and the bytes of its rows */
/**
 * @typedef {object} Sending
 * @property {import('./row-encoder.js').RowEncoder} encoder
 * @property {string} sheet
 * @property {(stored: Stored) => void} onBatch
 * @property {AbortSignal} [signal]
 */

/** Sends the rows of one export in numbered batches, some at a time, and counts them. */
export class Sender {
  /** Rows that were sent, by sheet. @type {Map<string, number>} @readonly */
  rows = new Map();
  batches = 0;
  retries = 0;
  /** Whether the numbers of batches are the caller's. */
  isNumbered = false;
  #calls;
  #task;

  /**
   * @param {import('./calls.js').Calls} calls
   * @param {import('./task.js').Task} task
   */
  constructor(calls, task) {
    this.#calls = calls;
    this.#task = task;
  }

  /**
   * Cuts rows into batches, numbered behind those before, and returns once all are stored. After an error the same
   * rows are the same batches again.
   *
   * @param {import('./row-reader.js').Rows} rows
   * @param {Sending} sending
   * @throws {SluiceError} and what the source throws
   */
  async send(rows, sending) {
    sending.signal?.throwIfAborted();
    const before = this.batches;
    const reader = new RowReader(rows);
    const window = new Window(this.#calls.settings.inFlight);
    window.onFailure = (error) => reader.interrupt(error);
    const stop = () => window.abort(sending.signal?.reason);
    sending.signal?.addEventListener('abort', stop, { once: true });
    try {
      const sent = await this.#sendAll(reader, window, sending);
      this.rows.set(sending.sheet, sent);
    } catch (error) {
      this.batches = before;
      window.fail(error);
      await window.drain().catch(() => {});
      await reader.close();
      throw error;
    } finally {
      sending.signal?.removeEventListener('abort', stop);
    }
  }

  /**
   * Sends rows as the one batch of this number.
   *
   * @param {import('./row-reader.js').Rows} rows
   * @param {Sending} sending
   * @param {number} sequence
   */
  async sendNumbered(rows, sending, sequence) {
    sending.signal?.throwIfAborted();
    this.isNumbered = true;
    const parts = [];
    const reader = new RowReader(rows);
    const stop = () => reader.interrupt(sending.signal?.reason);
    sending.signal?.addEventListener('abort', stop, { once: true });
    try {
      for (let step = await reader.next(); !step.done; step = await reader.next()) {
        parts.push(sending.encoder.encode(step.value, parts.length + 1));
      }
    } catch (error) {
      await reader.close();
      throw error;
    } finally {
      sending.signal?.removeEventListener('abort', stop);
    }
    this.rows.set(sending.sheet, (this.rows.get(sending.sheet) ?? 0) + parts.length);
    await this.#put(sequence, `[${parts.join(',')}]`, 0, sending, sending.signal, sending.signal);
  }

  /**
   * @param {RowReader} reader
   * @param {Window} window
   * @param {Sending} sending
   * @returns {Promise<number>} rows of this sheet so far
   */
  async #sendAll(reader, window, sending) {
    const { batchBytes, batchRows } = this.#calls.settings;
    let sent = this.rows.get(sending.sheet) ?? 0;
    /** @type {string[]} */
    let parts = [];
    let bytes = 0;
    const put = () => {
      const [sequence, json, before] = [++this.batches, `[${parts.join(',')}]`, sent];
      sent += parts.length;
      parts = [];
      bytes = 0;
      return window.put((signal, tries) => this.#put(sequence, json, before, sending, signal, tries));
    };
    for (;;) {
      const next = reader.next();
      // A promise for each row of a list would be slow.
      const { done, value } = next instanceof Promise ? await next : next;
      if (done) break;
      const json = sending.encoder.encode(value, sent + parts.length + 1);
      parts.push(json);
      bytes += Buffer.byteLength(json) + 1;
      const factor = Math.min(2 ** Math.floor(this.batches / BATCHES_OF_ONE_SIZE), 8);
      if (bytes >= batchBytes * Math.min(factor, 4) || parts.length >= batchRows * factor) await put();
    }
    if (parts.length > 0) await put();
    await window.drain();
    return sent;
  }

  /**
   * @param {number} sequence
   * @param {string} json
   * @param {number} rowsBefore
   * @param {Sending} sending
   * @param {AbortSignal | undefined} signal ends a request
   * @param {AbortSignal | undefined} tries aborted where no other one is to be made
   */
  async #put(sequence, json, rowsBefore, { sheet, onBatch }, signal, tries) {
    const { settings, isLocal } = this.#calls;
    const { body, headers, bytes } = await bodyOf(json, settings.gzip ?? !isLocal);
    const query = sheet === '' ? '' : `?sheet=${encodeURIComponent(sheet)}`;
    const path = this.#task.path(`/batches/${sequence}${query}`);
    const request = { method: 'PUT', path, headers, body };
    const onPause = () => {
      this.retries++;
    };
    try {
      const put = () => this.#calls.answerTo(request, this.#task.id, signal);
      const answer = await this.#calls.repeat(put, { signal: tries, onPause });
      tries?.throwIfAborted();
      onBatch({ answer, bytes });
    } catch (error) {
      if (!(error instanceof SluiceError) || error.status === undefined) throw error;
      const { row } = error;
      const place = row === undefined ? {} : { row: row + rowsBefore, batch_row: row };
      throw error.at({ ...place, batch: sequence, ...(sheet === '' ? {} : { sheet }) }, PLACE_IN_BATCH);
    }
  }
}
