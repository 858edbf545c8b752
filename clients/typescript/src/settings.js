import { UsageError } from './errors.js';

/**
 * How a client sends. Each setting has a default that suits a script or a queue job; a web request wants `tries: 2`.
 *
 * @typedef {object} Settings
 * @property {number} batchBytes a batch is sent once its JSON has so many bytes,
 * @property {number} batchRows or so many rows
 * @property {number} inFlight batches on their way at a time
 * @property {number} tries how often one call is tried, the first time included
 * @property {number} pause seconds before the second try; each further pause is twice as long, half of it random,
 * @property {number} pauseMax up to so many seconds
 * @property {number} firstContact a server that was never reached is given up after so many seconds
 * @property {number} answerTimeout seconds until a call is answered, its connection included; of a download, until its
 *   next byte comes
 * @property {boolean | null} gzip whether batches are packed; null: where the service is on another machine
 * @property {'error' | 'substitute'} surrogates what becomes of text that is not Unicode (a lone surrogate)
 * @property {typeof globalThis.fetch} fetch makes the requests: another one for a proxy, an authority of your
 *   own, a test
 * @property {((error: import('./errors.js').SluiceError, pause: number) => void) | null} onRetry called before
 *   each pause
 */

/** @type {Omit<Settings, 'fetch'>} */
const DEFAULTS = {
  batchBytes: 262_144,
  batchRows: 5_000,
  inFlight: 4,
  tries: 8,
  pause: 0.2,
  pauseMax: 20,
  firstContact: 10,
  answerTimeout: 60,
  gzip: null,
  surrogates: 'error',
  onRetry: null,
};
const WHOLE = new Set(['batchBytes', 'batchRows', 'inFlight', 'tries']);
/** @type {Record<string, (value: unknown) => boolean>} */
const FITS = {
  gzip: (value) => value === null || typeof value === 'boolean',
  surrogates: (value) => value === 'error' || value === 'substitute',
  fetch: (value) => typeof value === 'function',
  onRetry: (value) => value === null || typeof value === 'function',
};

/**
 * The settings with their defaults.
 *
 * @param {Partial<Settings>} given
 * @returns {Settings}
 * @throws {UsageError} for a name or a value that is none
 */
export function settingsOf(given) {
  /** @type {Settings} */
  const settings = { ...DEFAULTS, fetch: (...call) => globalThis.fetch(...call) };
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(settings, name)) {
      throw new UsageError(`There is no setting ${name}. There are: key, ${Object.keys(settings).join(', ')}.`);
    }
    if (value === undefined) continue;
    const fits =
      FITS[name] ?? ((one) => typeof one === 'number' && one > 0 && (!WHOLE.has(name) || Number.isInteger(one)));
    if (!fits(value)) {
      throw new UsageError(
        `The setting ${name} has another value than it takes${name in FITS ? '' : ': a number above zero'}.`,
      );
    }
    Object.assign(settings, { [name]: value });
  }
  return Object.freeze(settings);
}
