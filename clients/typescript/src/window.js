import { isRefusal } from './problem.js';

/**
 * Some actions on their way at a time. The first that fails stops the others, and what waits for them. Where it is the
 * service that refuses one, the requests of the others are answered before: `restartIfStopped()` would take them for
 * those of another run.
 */
export class Window {
  #size;
  /** @type {Set<Promise<void>>} */
  #running = new Set();
  #stop = new AbortController();
  #stopTries = new AbortController();
  /** @type {{ error: unknown } | null} */
  #failure = null;
  /** Called when an action fails. @type {(error: unknown) => void} */
  onFailure = () => {};

  /** @param {number} size */
  constructor(size) {
    this.#size = size;
  }

  /**
   * Starts an action, and returns once another one may be started.
   *
   * @param {(signal: AbortSignal, tries: AbortSignal) => Promise<void>} action gets what ends its request, and what
   *   lets it begin no other one
   * @throws what this one or one before it threw
   */
  async put(action) {
    this.#check();
    const one = action(this.#stop.signal, this.#stopTries.signal)
      .catch((error) => this.fail(error))
      .finally(() => this.#running.delete(one));
    this.#running.add(one);
    while (this.#running.size >= this.#size) {
      await Promise.race(this.#running);
    }
    this.#check();
  }

  /** Waits until nothing is on its way. */
  async drain() {
    await Promise.all(this.#running);
    this.#check();
  }

  /**
   * Stops all, unless something has failed before.
   *
   * @param {unknown} error
   */
  fail(error) {
    if (this.#failure !== null) return;
    this.#failure = { error };
    this.#stopTries.abort(error);
    if (!isRefusal(error)) this.#stop.abort(error);
    this.onFailure(error);
  }

  /**
   * Stops all at once, also what is waited for behind a refusal.
   *
   * @param {unknown} reason
   */
  abort(reason) {
    this.fail(reason);
    this.#stop.abort(reason);
  }

  #check() {
    if (this.#failure !== null) throw this.#failure.error;
  }
}
