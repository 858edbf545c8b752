/**
 * Some actions on their way at a time. The first that fails stops the others, and what waits for them.
 */
export class Window {
  #size;
  /** @type {Set<Promise<void>>} */
  #running = new Set();
  #stop = new AbortController();
  /** @type {{ error: unknown } | null} */
  #failure = null;
  /** Called when an action fails. @type {(error: unknown) => void} */
  onFailure = () => {};

  /** @param {number} size */
  constructor(size) {
    this.#size = size;
  }

  /** Aborted when one has failed. */
  get signal() {
    return this.#stop.signal;
  }

  /**
   * Starts an action, and returns once another one may be started.
   *
   * @param {(signal: AbortSignal) => Promise<void>} action
   * @throws what this one or one before it threw
   */
  async put(action) {
    this.#check();
    const one = action(this.#stop.signal)
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
   * Stops all.
   *
   * @param {unknown} error
   */
  fail(error) {
    if (this.#failure !== null) return;
    this.#failure = { error };
    this.#stop.abort(error);
    this.onFailure(error);
  }

  #check() {
    if (this.#failure !== null) throw this.#failure.error;
  }
}
