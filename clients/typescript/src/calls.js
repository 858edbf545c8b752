import { SluiceError, TransportError, UsageError } from './errors.js';
import { isTransient, objectIn, problemOf, unreachable } from './problem.js';
import { bounded, Retry, sleep } from './retry.js';

/**
 * @typedef {object} Request A request that may be made again and again.
 * @property {string} method
 * @property {string} path behind the address of the service
 * @property {Record<string, string>} [headers]
 * @property {BodyInit} [body]
 */

export const VERSION = '1.0.0';
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
const LOCAL = ['localhost', '127.0.0.1', '[::1]'];

/** Calls of the HTTP API, repeated while that can help; every call made here may be repeated. */
export class Calls {
  /** @readonly */
  server;
  /** @readonly */
  settings;
  /** Whether the service is on this machine. @readonly */
  isLocal;
  #key;
  #wasReached = false;

  /**
   * @param {string} server
   * @param {string} key
   * @param {import('./settings.js').Settings} settings
   */
  constructor(server, key, settings) {
    const url = addressOf(server);
    if (/[^\x21-\x7e]/.test(key)) {
      throw new UsageError(
        'The API key has a character that no key has: a line break at its end, or "Bearer" before it?',
      );
    }
    this.server = url.href.replace(/\/+$/, '');
    this.settings = settings;
    this.isLocal = LOCAL.includes(url.hostname);
    this.#key = key;
  }

  /**
   * Calls and decodes the answer.
   *
   * @param {string} method
   * @param {string} path
   * @param {{ body?: unknown, headers?: Record<string, string>, taskId?: string, signal?: AbortSignal }} [call]
   * @returns {Promise<Record<string, any>>}
   * @throws {SluiceError}
   */
  json(method, path, { body, headers = {}, taskId = '', signal } = {}) {
    /** @type {Request} */
    const request = { method, path, headers };
    if (body !== undefined) {
      request.headers = { ...headers, 'Content-Type': 'application/json' };
      request.body = JSON.stringify(body);
    }
    return this.repeat(() => this.answerTo(request, taskId, signal), { signal });
  }

  /**
   * One try of a request of the API.
   *
   * @param {Request} request
   * @param {string} taskId
   * @param {AbortSignal} [signal]
   * @returns {Promise<Record<string, any>>}
   * @throws {SluiceError}
   */
  async answerTo({ method, path, headers, body }, taskId, signal) {
    /** @type {Record<string, string>} */
    const all = { Accept: 'application/json', ...headers };
    if (this.#key !== '') all.Authorization = `Bearer ${this.#key}`;
    if (globalThis.process?.versions?.node) all['User-Agent'] = `sluice-js/${VERSION} node/${process.versions.node}`;
    // A redirect is an answer: the key goes to this server alone.
    const answer = await this.exchange(
      `${this.server}${path}`,
      { method, headers: all, body, redirect: 'manual' },
      taskId,
      signal,
      whole,
    );
    const problem = problemOf(answer, this.server, taskId);
    if (problem !== null) throw problem;
    const object = answer.text === '' ? {} : objectIn(answer.text);
    if (object === null) {
      throw new TransportError(`${this.server} answers, but not as a Sluice service does`, 'UNEXPECTED_ANSWER', {
        taskId,
      });
    }
    return object;
  }

  /**
   * One exchange with any server.
   *
   * @template T
   * @param {string} url
   * @param {RequestInit} request
   * @param {string} taskId
   * @param {AbortSignal | undefined} signal
   * @param {(response: Response, again: () => void) => Promise<T>} read reads the answer; it throws a
   *   SluiceError where the answer is none to take, and `again` gives the answer its time anew
   * @returns {Promise<T>}
   * @throws {TransportError} UNREACHABLE where there is no answer, or half of one
   */
  exchange(url, request, taskId, signal, read) {
    return bounded(this.settings.answerTimeout, signal, async (end, again) => {
      try {
        const response = await this.settings.fetch(url, { credentials: 'omit', ...request, signal: end });
        this.#wasReached = true;
        return await read(response, again);
      } catch (error) {
        if (error instanceof SluiceError) throw error;
        throw unreachable(end.aborted ? end.reason : error, this.server, taskId);
      }
    });
  }

  /**
   * Does something until it does not fail for a moment, or the tries are over.
   *
   * @template T
   * @param {() => Promise<T>} action
   * @param {{ signal?: AbortSignal, reached?: () => number, onPause?: () => void }} [how] tries begin anew where
   *   `reached` gives another value than before
   * @returns {Promise<T>}
   * @throws {SluiceError}
   */
  async repeat(action, { signal, reached = () => 0, onPause } = {}) {
    const retry = new Retry(this.settings);
    let before = reached();
    for (;;) {
      try {
        return await action();
      } catch (error) {
        if (signal?.aborted || !(error instanceof SluiceError)) throw error;
        if (reached() !== before) {
          before = reached();
          retry.moved();
        }
        const pause = isTransient(error) ? retry.pause(error.retryAfter, this.#wasReached) : null;
        if (pause === null) throw error;
        this.settings.onRetry?.(error, pause);
        onPause?.();
        await sleep(pause, signal);
      }
    }
  }
}

/**
 * @param {string} server
 * @returns {URL}
 * @throws {UsageError}
 */
function addressOf(server) {
  const example = 'The address of the service is one such as https://exports.example.com';
  if (typeof server !== 'string' || /[^\x21-\x7e]/.test(server)) {
    throw new UsageError(`${example}: printable ASCII text, without blanks.`);
  }
  /** @type {URL} */
  let url;
  try {
    url = new URL(server);
  } catch {
    throw new UsageError(`${example}.`); // what was given may be the key, in the wrong place
  }
  if (!['http:', 'https:'].includes(url.protocol)) throw new UsageError(`${example}.`);
  if (url.username || url.password || url.search || url.hash) {
    throw new UsageError(
      'The address of the service has no user, no query and no fragment; the API key is given by itself.',
    );
  }
  return url;
}

/**
 * A whole answer as text.
 *
 * @param {Response} response
 * @returns {Promise<import('./problem.js').Answer>}
 */
async function whole(response) {
  const decoder = new TextDecoder();
  let text = '';
  let bytes = 0;
  for (const reader = response.body?.getReader(); reader !== undefined;) {
    const { done, value } = await reader.read();
    if (done) break;
    bytes += value.length;
    if (bytes > ANSWER_BYTES_MAX) {
      await reader.cancel();
      throw new TransportError('the answer is longer than any of a Sluice service', 'UNEXPECTED_ANSWER');
    }
    text += decoder.decode(value, { stream: true });
  }
  return { status: response.status, headers: response.headers, text: text + decoder.decode() };
}
