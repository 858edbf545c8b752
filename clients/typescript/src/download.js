import { createHash, randomBytes } from 'node:crypto';
import { chmod, open, rename, stat, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ExportFailedError, TransportError } from './errors.js';
import { problemOf } from './problem.js';

/** @typedef {import('node:fs/promises').FileHandle} FileHandle */

const REDIRECTS_MAX = 5;
/** So much of a download waits for the disk. */
const UNWRITTEN_BYTES_MAX = 1024 * 1024;

/** A download that goes on after a cut through a new link, and counts only when it is whole and has its checksum. */
export class Download {
  #calls;
  #newLink;
  #sha256;
  #signal;

  /**
   * @param {import('./calls.js').Calls} calls
   * @param {() => Promise<string>} newLink
   * @param {string | null} sha256
   * @param {AbortSignal} [signal]
   */
  constructor(calls, newLink, sha256, signal) {
    this.#calls = calls;
    this.#newLink = newLink;
    this.#sha256 = sha256;
    this.#signal = signal;
  }

  /**
   * Saves the file under a name beside its own, and renames it when it is whole; `path` is untouched by a failure.
   *
   * @param {string} path
   */
  async saveTo(path) {
    const link = await this.#newLink(); // says what the service says where there is no file
    const part = `${path}.${randomBytes(4).toString('hex')}.part`;
    const file = await written(path, open(part, 'wx'));
    try {
      const mode = await stat(path).then(
        (before) => before.mode & 0o777,
        () => null,
      );
      if (mode !== null) await written(path, chmod(part, mode)); // open to no others than before
      await this.#fill(file, link);
      await written(path, file.sync());
      await written(path, file.close());
      await written(path, rename(part, path));
    } catch (error) {
      await file.close().catch(() => {});
      await unlink(part).catch(() => {});
      throw error;
    }
  }

  /**
   * The whole, checked file. It is a temporary file without a name, which goes when the stream is read or destroyed.
   *
   * @returns {Promise<import('node:stream').Readable>}
   */
  async stream() {
    const link = await this.#newLink();
    const path = join(tmpdir(), `sluice-${randomBytes(8).toString('hex')}`);
    const file = await written('the temporary file', open(path, 'wx+', 0o600));
    try {
      await unlink(path);
      await this.#fill(file, link);
    } catch (error) {
      await file.close().catch(() => {});
      throw error;
    }
    return file.createReadStream({ start: 0 });
  }

  /**
   * @param {FileHandle} file
   * @param {string} link
   */
  async #fill(file, link) {
    const state = { bytes: 0, hash: createHash('sha256') };
    let most = 0; // not the length: a server that begins anew each time and is cut each time makes no headway
    const reached = () => (most = Math.max(most, state.bytes));
    let url = link;
    await this.#calls.repeat(
      async () => {
        url ||= await this.#newLink();
        const one = url;
        url = '';
        await this.#append(file, state, new URL(one, this.#calls.server));
      },
      { reached, signal: this.#signal },
    );
    if (state.hash.digest('hex') !== this.#sha256) {
      throw new ExportFailedError('The download is not what was written', 'RESULT_VERIFY_FAILED', { who: 'operator' });
    }
  }

  /**
   * @param {FileHandle} file
   * @param {{ bytes: number, hash: import('node:crypto').Hash }} state
   * @param {URL} url carries no credential of ours, so it may lead on to a store
   * @param {number} [redirects]
   * @returns {Promise<void>}
   */
  async #append(file, state, url, redirects = 0) {
    /** @type {Record<string, string>} */
    const headers = { 'Accept-Encoding': 'identity', ...(state.bytes > 0 ? { Range: `bytes=${state.bytes}-` } : {}) };
    /** @type {{ to: URL | null }} */
    const next = { to: null };
    await this.#calls.exchange(url.href, { headers, redirect: 'manual' }, '', this.#signal, async (response, again) => {
      next.to = redirects < REDIRECTS_MAX ? redirectOf(response, url) : null;
      if (next.to !== null || response.status === 416) {
        // 416: the connection broke behind the last byte
        await response.body?.cancel();
        return;
      }
      const problem = problemOf(
        { status: response.status, headers: response.headers, text: response.ok ? '' : await response.text() },
        this.#calls.server,
        '',
      );
      if (problem !== null) throw problem;
      if (response.status !== 206) {
        // a store that knows no ranges sends all of it again
        await written('the file', file.truncate(0));
        state.bytes = 0;
        state.hash = createHash('sha256');
      }
      await this.#write(file, state, response, again);
    });
    if (next.to !== null) await this.#append(file, state, next.to, redirects + 1);
  }

  /**
   * Writes what comes. It is read before the disk has what came before: a stream that breaks forgets what was not read.
   *
   * @param {FileHandle} file
   * @param {{ bytes: number, hash: import('node:crypto').Hash }} state
   * @param {Response} response
   * @param {() => void} again
   */
  async #write(file, state, response, again) {
    /** @type {Promise<void>} */
    let writing = Promise.resolve();
    let unwritten = 0;
    try {
      for (const reader = response.body?.getReader(); reader !== undefined; again()) {
        const { done, value } = await reader.read();
        if (done) break;
        unwritten += value.length;
        writing = writing.then(async () => {
          await append(file, value, state.bytes);
          state.hash.update(value);
          state.bytes += value.length;
          unwritten -= value.length;
        });
        writing.catch(() => {}); // it is awaited below
        if (unwritten > UNWRITTEN_BYTES_MAX) await writing;
      }
    } finally {
      await writing;
    }
  }
}

/**
 * Where an answer leads; null where it leads nowhere, or from HTTPS to HTTP.
 *
 * @param {Response} response
 * @param {URL} from
 */
function redirectOf(response, from) {
  const location = response.headers.get('location');
  if (response.status < 300 || response.status > 308 || location === null) return null;
  const to = new URL(location, from);
  return to.protocol === 'https:' || to.protocol === from.protocol ? to : null;
}

/**
 * @param {FileHandle} file
 * @param {Uint8Array} block
 * @param {number} position
 */
async function append(file, block, position) {
  for (let done = 0; done < block.length;) {
    done += (await written('the file', file.write(block, done, block.length - done, position + done))).bytesWritten;
  }
}

/**
 * @template T
 * @param {string} path
 * @param {Promise<T>} action of the disk
 * @returns {Promise<T>}
 * @throws {TransportError} NOT_WRITTEN
 */
async function written(path, action) {
  try {
    return await action;
  } catch (error) {
    const { code } = /** @type {NodeJS.ErrnoException} */ (error);
    const why = code === 'ENOSPC' ? 'the disk is full' : (code ?? 'the system refuses');
    throw new TransportError(`${path} cannot be written: ${why}`, 'NOT_WRITTEN', { cause: error });
  }
}
