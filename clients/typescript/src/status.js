import { ExportFailedError, TransportError } from './errors.js';

/**
 * An export as it was when the service answered. Times are ISO 8601 in UTC.
 *
 * @typedef {object} Status
 * @property {string} taskId
 * @property {string} state open, sealed, composing; completed, failed, cancelled, expired
 * @property {string} filename
 * @property {string} format
 * @property {number} rows that the service has stored
 * @property {number} rowsWritten that are in the file, or in what there is of it
 * @property {number} batches
 * @property {number} percent of the way to the file; where rows were announced, sending them is 75 of it
 * @property {number | null} secondsLeft until the file is there, as far as anyone can tell
 * @property {number | null} bytes of the file
 * @property {string | null} sha256 of the file
 * @property {Record<string, number>} warnings what the writer had to count, by kind
 * @property {string | null} expiresAt
 * @property {Record<string, any>} answer all that was answered, what this release does not know too
 */

const ENDED = ['completed', 'failed', 'cancelled', 'expired'];

/**
 * @param {Record<string, any>} answer
 * @returns {Status}
 * @throws {TransportError} for what is no status
 */
export function statusOf(answer) {
  return Object.freeze({
    taskId: required(answer, 'task_id'),
    state: required(answer, 'state'),
    filename: text(answer, 'filename') ?? '',
    format: text(answer, 'format') ?? '',
    rows: number(answer, 'rows_received') ?? 0,
    rowsWritten: number(answer, 'rows_written') ?? 0,
    batches: number(answer, 'batches') ?? 0,
    percent: number(answer, 'progress_percent') ?? 0,
    secondsLeft: number(answer, 'eta_seconds'),
    bytes: number(answer, 'file_size_bytes'),
    sha256: text(answer, 'checksum_sha256'),
    warnings: warningsOf(answer.warnings ?? []),
    expiresAt: text(answer, 'expires_at'),
    answer,
  });
}

/**
 * Nothing changes any more.
 *
 * @param {Status} status
 */
export function hasEnded(status) {
  return ENDED.includes(status.state);
}

/**
 * Why there is no file and never will be; null while there may be one.
 *
 * @param {Status} status
 */
export function failureOf(status) {
  if (!hasEnded(status) || status.state === 'completed') return null;
  const error = status.answer.error ?? {};
  if (typeof error !== 'object') throw unexpected('error');
  return new ExportFailedError(
    text(error, 'message') ?? `The export is ${status.state}.`,
    text(error, 'code') ?? status.state.toUpperCase(),
    {
      taskId: status.taskId,
      retryable: error.retryable === true,
      who: text(error, 'who') ?? '',
    },
  );
}

/**
 * @param {unknown} warnings
 * @returns {Record<string, number>}
 */
function warningsOf(warnings) {
  if (!Array.isArray(warnings)) throw unexpected('warnings');
  return Object.fromEntries(warnings.map((one) => [required(one ?? {}, 'kind'), number(one ?? {}, 'count') ?? 0]));
}

/**
 * @param {Record<string, any>} answer
 * @param {string} name
 * @returns {string}
 */
function required(answer, name) {
  const value = text(answer, name);
  if (value === null) throw unexpected(name);
  return value;
}

/**
 * @param {Record<string, any>} answer
 * @param {string} name
 * @returns {string | null}
 */
function text(answer, name) {
  const value = answer[name] ?? null;
  if (value !== null && typeof value !== 'string') throw unexpected(name);
  return value;
}

/**
 * @param {Record<string, any>} answer
 * @param {string} name
 * @returns {number | null}
 */
function number(answer, name) {
  const value = answer[name] ?? null;
  if (value !== null && typeof value !== 'number') throw unexpected(name);
  return value;
}

/** @param {string} name */
function unexpected(name) {
  return new TransportError(`the answer's ${name} is not what a Sluice service answers there`, 'UNEXPECTED_ANSWER');
}
