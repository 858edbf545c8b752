/**
 * How far an export is: while rows are sent, and while the file is written.
 *
 * @typedef {object} Progress
 * @property {number} rows that the service has acknowledged to this process
 * @property {number} batches
 * @property {number} replayed batches that the service had already, of an earlier run
 * @property {number} bytes of rows, before they were packed
 * @property {number} retries
 * @property {string} state open while rows are sent, then sealed, composing and how it ended
 * @property {number} percent of the way to the file; where rows were announced, sending them is 75 of it
 */

/** @type {Readonly<Progress>} */
export const BEGINNING = Object.freeze({
  rows: 0,
  batches: 0,
  replayed: 0,
  bytes: 0,
  retries: 0,
  state: 'open',
  percent: 0,
});

/**
 * The progress with one more batch.
 *
 * @param {Progress} before
 * @param {{ answer: Record<string, any>, bytes: number }} stored
 * @param {number} retries
 * @param {number} expectedRows 0 where none were announced
 * @returns {Readonly<Progress>}
 */
export function counted(before, { answer, bytes }, retries, expectedRows) {
  const rows = before.rows + (Number(answer.rows) || 0);
  return Object.freeze({
    ...before,
    rows,
    batches: before.batches + 1,
    replayed: before.replayed + (answer.replayed === true ? 1 : 0),
    bytes: before.bytes + bytes,
    retries,
    percent: expectedRows > 0 ? Math.min(75, (75 * rows) / expectedRows) : 0,
  });
}
