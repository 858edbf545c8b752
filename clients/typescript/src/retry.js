/** Nothing waits longer than this because the service asked for it. */
const ASKED_MAX = 30;
/** Beyond this a timer would fire at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Seconds of a clock that is never set. */
export const now = () => performance.now() / 1000;

/** The tries of one call: whether there is another, and after how long. */
export class Retry {
  #settings;
  #clock;
  #random;
  #began;
  #tried = 0;

  /**
   * @param {Pick<import('./settings.js').Settings, 'tries' | 'pause' | 'pauseMax' | 'firstContact'>} settings
   * @param {{ clock?: () => number, random?: () => number }} [chance]
   */
  constructor(settings, { clock = now, random = Math.random } = {}) {
    this.#settings = settings;
    this.#clock = clock;
    this.#random = random;
    this.#began = clock();
  }

  /** Something moved: tries and pauses begin anew. */
  moved() {
    this.#tried = 0;
    this.#began = this.#clock();
  }

  /**
   * Seconds until the next try; null when there is none.
   *
   * @param {number} asked how long the service asks to wait
   * @param {boolean} wasReached whether the server answered at any time before
   */
  pause(asked, wasReached) {
    this.#tried++;
    const { tries, pause, pauseMax, firstContact } = this.#settings;
    if (this.#tried >= tries) return null;
    const bound = Math.min(pause * 2 ** Math.min(this.#tried - 1, 30), pauseMax);
    const seconds = Math.min(asked, ASKED_MAX) + bound * (0.5 + this.#random() / 2);
    const isTooLate = !wasReached && this.#clock() + seconds - this.#began > firstContact;
    return isTooLate ? null : seconds;
  }
}

/**
 * Waits.
 *
 * @param {number} seconds
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 * @throws the signal's reason
 */
export function sleep(seconds, signal) {
  return bounded(
    seconds,
    signal,
    (end) =>
      new Promise((resolve) => {
        end.addEventListener('abort', () => resolve(undefined), { once: true });
      }),
  );
}

/**
 * Waits for something that knows no signal.
 *
 * @template T
 * @param {Promise<T>} promise
 * @param {AbortSignal} [signal]
 * @returns {Promise<T>}
 * @throws the signal's reason
 */
export function orAborted(promise, signal) {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

/**
 * Does something that ends when its signal says so: once the seconds are over, or the caller's own signal is aborted.
 *
 * @template T
 * @param {number} seconds
 * @param {AbortSignal | undefined} signal of the caller
 * @param {(end: AbortSignal, again: () => void) => Promise<T>} action gets the signal, and what begins the seconds anew
 * @returns {Promise<T>}
 * @throws the reason of the caller's signal, or what the action throws
 */
export async function bounded(seconds, signal, action) {
  signal?.throwIfAborted();
  const controller = new AbortController();
  const stop = () => controller.abort(signal?.reason);
  const over = () => controller.abort(new Error(`no answer within ${seconds} seconds`));
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const again = () => {
    clearTimeout(timer);
    timer = setTimeout(over, Math.min(seconds * 1000, TIMER_MS_MAX));
  };
  again();
  signal?.addEventListener('abort', stop, { once: true });
  try {
    return await action(controller.signal, again);
  } catch (error) {
    controller.abort(error); // lets go of what is half done, such as an answer that is not read on
    throw error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop); // a signal may outlive thousands of calls
    signal?.throwIfAborted();
  }
}
