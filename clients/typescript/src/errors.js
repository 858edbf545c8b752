/** What this client throws. The class says what to do next, `code` what happened, the rest where. */

/**
 * @typedef {object} Known What is known of an error beside its text.
 * @property {number} [status] the HTTP status
 * @property {boolean} [retryable]
 * @property {number} [retryAfter] seconds
 * @property {string} [who]
 * @property {string} [requestId]
 * @property {string} [taskId]
 * @property {Record<string, unknown>} [facts] `row`, `column` and what else the service says of the place
 * @property {unknown} [cause]
 */

const PLACES = ['row', 'column', 'sheet', 'batch'];

/** @param {Known} known */
function placeOf(known) {
  const facts = known.facts ?? {};
  const places = PLACES.filter((name) => ['string', 'number'].includes(typeof facts[name])).map(
    (name) => `${name} ${facts[name]}`,
  );
  if (known.taskId) places.push(`export ${known.taskId}`);
  if (known.requestId) places.push(`request ${known.requestId}`);
  return places.length === 0 ? '' : ` (${places.join(', ')})`;
}

/**
 * Everything that this client throws is one of the classes below this one; only an abort throws the signal's reason.
 *
 * The message has the code, the place and the request id, and never the API key, a link or a cell's value.
 */
export class SluiceError extends Error {
  /** @type {Known} */
  #known;
  /** What happened, without the place. @readonly */
  detail;
  /**
   * An error code of the service (docs/errors.md), `UNREACHABLE`, `UNEXPECTED_ANSWER`, `NOT_READY`, `NOT_WRITTEN`,
   * `NOT_GENUINE` or `USAGE`.
   *
   * @readonly
   */
  code;

  /**
   * @param {string} detail
   * @param {string} [code]
   * @param {Known} [known]
   */
  constructor(detail, code = 'USAGE', known = {}) {
    super(`${code}: ${detail}${placeOf(known)}`, known.cause === undefined ? undefined : { cause: known.cause });
    this.#known = known;
    this.code = code;
    this.detail = detail;
  }

  /** The HTTP status; undefined where there was no answer, and for an export that failed. */
  get status() {
    return this.#known.status;
  }

  /** Whether the same call may succeed later. */
  get retryable() {
    return this.#known.retryable ?? false;
  }

  /** Seconds that the service asks to wait before the next try; 0 where it does not say. */
  get retryAfter() {
    return this.#known.retryAfter ?? 0;
  }

  /** Who must act: `client`, `platform` or `operator`; empty where the answer does not say. */
  get who() {
    return this.#known.who ?? '';
  }

  /** The service's log has it too. */
  get requestId() {
    return this.#known.requestId ?? '';
  }

  get taskId() {
    return this.#known.taskId ?? '';
  }

  /** The row of the whole table (of its sheet), counted from 1. */
  get row() {
    const row = this.facts.row;
    return typeof row === 'number' ? row : undefined;
  }

  get column() {
    const column = this.facts.column;
    return column === undefined || column === null ? undefined : String(column);
  }

  /** What else is known of the place. @returns {Record<string, unknown>} */
  get facts() {
    return this.#known.facts ?? {};
  }

  /**
   * The same error at another place.
   *
   * @param {Record<string, unknown>} facts that are added, or replace those of the same name
   * @param {RegExp} without what the message does not repeat
   * @returns {SluiceError}
   */
  at(facts, without) {
    const kind = /** @type {typeof SluiceError} */ (this.constructor);
    const known = { ...this.#known, facts: { ...this.facts, ...facts } };
    return new kind(this.detail.replace(without, ''), this.code, known);
  }
}

/** Mend the data at `row` and `column`. */
export class InvalidRowError extends SluiceError {}
/** Other rows than before were sent under this key, or other totals than came: `restartIfStopped()`. */
export class SourceChangedError extends SluiceError {}
/** Later, after `retryAfter` seconds: a queue, a quota, a rate or a disk is full. */
export class BusyError extends SluiceError {}
/** The key is missing, unknown, or may not do this; a notice is not genuine. */
export class AuthError extends SluiceError {}
/** There will be no file: the export failed, was cancelled, was deleted or has expired. */
export class ExportFailedError extends SluiceError {}
/** Waiting ran out. The export goes on; take it up again by its id. */
export class NotReadyError extends SluiceError {}
/** No answer, a page of a proxy, or a file that cannot be written. */
export class TransportError extends SluiceError {}
/** Mend the program. */
export class UsageError extends SluiceError {}
/** Refused for another reason, which `code` names. */
export class RefusedError extends SluiceError {}

const KINDS = {
  SluiceError,
  InvalidRowError,
  SourceChangedError,
  BusyError,
  AuthError,
  ExportFailedError,
  NotReadyError,
  TransportError,
  UsageError,
  RefusedError,
};
for (const [name, kind] of Object.entries(KINDS)) {
  kind.prototype.name = name; // not taken from the class, whose name a bundler may change
}
