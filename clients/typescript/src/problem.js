import {
  AuthError,
  BusyError,
  ExportFailedError,
  InvalidRowError,
  NotReadyError,
  RefusedError,
  SluiceError,
  SourceChangedError,
  TransportError,
  UsageError,
} from './errors.js';

/** @typedef {import('./errors.js').Known} Known */
/** @typedef {{ status: number, headers: Headers, text: string }} Answer a whole answer */

/** @type {Array<[typeof SluiceError, string[]]>} */
const KINDS = [
  [InvalidRowError, ['ROW_WIDTH_MISMATCH', 'INVALID_VALUE', 'INVALID_TEXT', 'CELL_TOO_LONG']],
  [SourceChangedError, ['BATCH_CONFLICT', 'BATCHES_EXTRA', 'TOTALS_MISMATCH', 'ALREADY_CLOSED', 'TASK_CLOSED']],
  [BusyError, ['STORE_UNAVAILABLE', 'STORAGE_FULL', 'QUEUE_FULL', 'QUOTA_EXCEEDED', 'RATE_LIMITED', 'SENDER_TOO_SLOW']],
  [AuthError, ['UNAUTHENTICATED', 'PERMISSION_DENIED']],
  [NotReadyError, ['NOT_READY']],
  [
    ExportFailedError,
    [
      'CANCELLED',
      'EXPIRED',
      'TASK_DELETED',
      'CHUNK_MISSING',
      'CHUNK_CORRUPT',
      'ROW_COUNT_MISMATCH',
      'RESULT_VERIFY_FAILED',
      'RESULT_TOO_LARGE',
      'RESULT_MISSING',
      'RESULT_DAMAGED',
      'TASK_DAMAGED',
      'ATTEMPTS_EXHAUSTED',
      'FAILED',
    ],
  ],
  [
    UsageError,
    [
      'INVALID_REQUEST',
      'UNSUPPORTED_FORMAT',
      'UNSUPPORTED_ENCODING',
      'TOO_MANY_BATCHES',
      'TOO_MANY_ROWS',
      'TOO_MANY_COLUMNS',
      'BATCH_TOO_LARGE',
      'SEQ_OUT_OF_RANGE',
      'BATCHES_MISSING',
      'IDEMPOTENCY_KEY_REUSED',
    ],
  ],
];
const TRANSIENT = [408, 425, 429, 502, 503, 504];
/** What Node says of certificates that are not trusted, which no other try changes. */
const FINAL = /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER|ERR_INVALID_URL/;

/**
 * Whether the same request, made again in a moment, may succeed by itself.
 *
 * @param {SluiceError} error
 */
export function isTransient(error) {
  const status = error.status ?? 0;
  return TRANSIENT.includes(status) || (error.retryable && (status >= 500 || error.code === 'UNREACHABLE'));
}

/**
 * Whether the service itself has answered this, and not a network or a proxy on the way to it.
 *
 * @param {unknown} error
 */
export function isRefusal(error) {
  return error instanceof SluiceError && !(error instanceof TransportError) && error.status !== undefined;
}

/**
 * The error of an answer; null for a success.
 *
 * @param {Answer} answer
 * @param {string} server its address, for the message
 * @param {string} taskId of the export that was asked about
 * @returns {SluiceError | null}
 */
export function problemOf(answer, server, taskId) {
  if (answer.status >= 200 && answer.status < 300) return null;
  const problem = objectIn(answer.text);
  if (problem === null || typeof problem.code !== 'string' || !/^[A-Z][A-Z0-9_]*$/.test(problem.code)) {
    return unexpected(answer, server, taskId);
  }
  const { type, title, status, detail, code, who, retryable, request_id: requestId, ...facts } = problem;
  return named(problem.code, textOf(detail ?? title), {
    status: answer.status,
    retryable: retryable === true,
    retryAfter: retryAfter(answer),
    who: textOf(who),
    requestId: textOf(requestId),
    taskId,
    facts,
  });
}

/**
 * @param {string} code
 * @param {string} detail
 * @param {Known} known
 * @returns {SluiceError}
 */
export function named(code, detail, known) {
  if (code === 'INVALID_REQUEST' && known.facts?.row !== undefined) {
    return new InvalidRowError(detail, code, known); // a row that is none: a name or a cell too many
  }
  const [kind] = KINDS.find(([, codes]) => codes.includes(code)) ?? [RefusedError];
  return new kind(detail, code, known);
}

/**
 * The error of a request without an answer.
 *
 * @param {unknown} error as `fetch` threw it
 * @param {string} server
 * @param {string} taskId
 */
export function unreachable(error, server, taskId) {
  const reasons = reasonsOf(error);
  const said = reasons.find(({ message }) => message !== '' && message !== 'fetch failed');
  const isFinal = reasons.some(({ code }) => FINAL.test(code));
  const why = said?.message ?? reasons.find(({ code }) => code !== '')?.code ?? 'no reason is known';
  const detail = `${server} cannot be reached: ${why}`;
  return new TransportError(detail, 'UNREACHABLE', { retryable: !isFinal, taskId, cause: error });
}

/**
 * What an error and its causes say, the innermost first.
 *
 * @param {unknown} error
 * @returns {Array<{ message: string, code: string }>}
 */
function reasonsOf(error) {
  if (!(error instanceof Error)) return [];
  const { code } = /** @type {{ code?: unknown }} */ (/** @type {unknown} */ (error));
  const inner = error instanceof AggregateError ? reasonsOf(error.errors[0]) : reasonsOf(error.cause);
  return [...inner, { message: error.message, code: textOf(code) }];
}

/**
 * @param {Answer} answer
 * @param {string} server
 * @param {string} taskId
 */
function unexpected(answer, server, taskId) {
  let detail = `${server} answered ${answer.status}, not as a Sluice service does`;
  if (answer.status === 413) {
    detail +=
      '; a gateway before it takes no request of that size (nginx: client_max_body_size; Function Compute: 32 MB)';
  } else if (answer.status < 400) {
    detail += '; it points elsewhere, where the API key is not sent: use the address that it points to';
  }
  const requestId = answer.headers.get('x-request-id') ?? '';
  return new TransportError(detail, 'UNEXPECTED_ANSWER', {
    status: answer.status,
    retryable: TRANSIENT.includes(answer.status),
    retryAfter: retryAfter(answer),
    requestId: /^[\x21-\x7e]{1,128}$/.test(requestId) ? requestId : '',
    taskId,
  });
}

/** @param {Answer} answer */
function retryAfter(answer) {
  const text = answer.headers.get('retry-after') ?? '';
  return /^[0-9]{1,6}$/.test(text) ? Number(text) : 0; // a date there is not used
}

/** @param {unknown} value */
function textOf(value) {
  return typeof value === 'string' ? value : '';
}

/**
 * The JSON object that a text is; null where it is none.
 *
 * @param {string} text
 * @returns {Record<string, any> | null}
 */
export function objectIn(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === 'object' && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}
