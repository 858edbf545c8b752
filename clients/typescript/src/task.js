import { createHash, randomBytes } from 'node:crypto';
import { Download } from './download.js';
import { ExportFailedError, NotReadyError, TransportError, UsageError } from './errors.js';
import { now, sleep } from './retry.js';
import { failureOf, statusOf } from './status.js';

/** @typedef {import('./calls.js').Calls} Calls */
/** @typedef {import('./status.js').Status} Status */
/** @typedef {{ body?: unknown, headers?: Record<string, string>, signal?: AbortSignal }} Call */

const POLL_SECONDS = 20;
const GIVE_UP_MS = 5000;
/** How many keys are tried behind one whose exports are over. */
const SUCCESSORS_MAX = 50;
/** What the keys begin with under which a key of the caller's goes on; no caller's key begins so. */
export const OWN_KEYS = 'sluice:';

/** The calls about one export of the service, by its id. */
export class Task {
  /** @readonly */
  id;
  /** Where a browser may watch it; only the open says that. @type {string | null} @readonly */
  watchUrl;
  #calls;

  /**
   * @param {Calls} calls
   * @param {string} id
   * @param {string | null} [watchUrl]
   */
  constructor(calls, id, watchUrl = null) {
    this.#calls = calls;
    this.id = id;
    this.watchUrl = watchUrl;
  }

  /** @param {string} path */
  path(path) {
    return `/v1/exports/${encodeURIComponent(this.id)}${path}`;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {Call} [call]
   */
  json(method, path, call) {
    return this.#calls.json(method, this.path(path), { ...call, taskId: this.id });
  }

  /**
   * @param {AbortSignal} [signal]
   * @param {number} [seconds] waits so long for another state
   */
  async status(signal, seconds) {
    return statusOf(await this.json('GET', seconds === undefined ? '' : `?wait=${seconds.toFixed(3)}`, { signal }));
  }

  /**
   * @param {AbortSignal} [signal]
   * @returns {Promise<string>}
   */
  async link(signal) {
    const { url } = await this.json('GET', '/file?redirect=false', { signal });
    if (typeof url !== 'string') {
      throw new TransportError('the answer has no link', 'UNEXPECTED_ANSWER', { taskId: this.id });
    }
    return url;
  }

  /** @param {AbortSignal} [signal] */
  async download(signal) {
    const { sha256 } = await this.status(signal);
    return new Download(this.#calls, () => this.link(signal), sha256, signal);
  }

  /**
   * @param {{ format: string, options?: Record<string, unknown>, filename?: string }} body
   * @param {AbortSignal} [signal]
   * @returns {Promise<string>} the id of the export of another file
   */
  async render(body, signal) {
    const answer = await this.json('POST', '/render', { body, headers: { 'Idempotency-Key': newKey() }, signal });
    return statusOf(answer).taskId;
  }

  /**
   * Waits until the file is there.
   *
   * @param {number} seconds
   * @param {AbortSignal | undefined} signal
   * @param {(status: Status) => void} onStatus
   * @returns {Promise<Status>}
   * @throws {NotReadyError} NOT_READY when the seconds are over; or why there will be no file
   */
  async wait(seconds, signal, onStatus) {
    const until = now() + seconds;
    const poll = Math.min(POLL_SECONDS, this.#calls.settings.answerTimeout / 2);
    for (;;) {
      const left = until - now();
      const status = await this.status(signal, Math.max(0, Math.min(poll, left)));
      onStatus(status);
      if (status.state === 'completed') return status;
      const failure = failureOf(status);
      if (failure !== null) throw failure;
      if (left <= 0) {
        const detail = `The export is ${status.state} after ${seconds} seconds; it goes on`;
        throw new NotReadyError(detail, 'NOT_READY', { taskId: this.id, retryable: true, who: 'client' });
      }
      await sleep(0.1, signal); // a service that stops answers at once
    }
  }

  /** Cancels it with one try, for a sender that failed. */
  async giveUp() {
    const headers = { 'Content-Type': 'application/json' };
    const request = { method: 'POST', path: this.path('/cancel'), headers, body: '{}' };
    try {
      await this.#calls.answerTo(request, this.id, AbortSignal.timeout(GIVE_UP_MS));
    } catch {
      // It expires by itself; what failed before is what matters, and is waited for.
    }
  }
}

/**
 * Opens an export, or finds the first of its key that is not over.
 *
 * @param {Calls} calls
 * @param {string} key
 * @param {object} body
 * @param {AbortSignal} [signal]
 */
export async function openTask(calls, key, body, signal) {
  for (let number = 1; number <= SUCCESSORS_MAX; number++) {
    const one = number === 1 ? key : `${OWN_KEYS}${number}:${createHash('sha256').update(key).digest('hex')}`;
    const headers = { 'Idempotency-Key': Buffer.from(one).toString('latin1') }; // a header is bytes: those of UTF-8
    try {
      const answer = await calls.json('POST', '/v1/exports', { body, headers, signal });
      const status = statusOf(answer);
      const watchUrl = typeof answer.watch_url === 'string' ? answer.watch_url : null;
      if (failureOf(status) === null) return { task: new Task(calls, status.taskId, watchUrl), status };
    } catch (error) {
      const isDeleted = error instanceof ExportFailedError && error.code === 'TASK_DELETED';
      if (!isDeleted) throw error; // the key of one that was deleted is not free again yet
    }
  }
  throw new UsageError('The key was begun anew too often; take another.');
}

/** A key that no other export has. */
export function newKey() {
  return randomBytes(16).toString('hex');
}
