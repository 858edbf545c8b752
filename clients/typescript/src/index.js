/** Sends tables of any size to a Sluice service, which makes files of them. */

export { Client } from './client.js';
export {
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
export { watch } from './watch.js';
export { verifyWebhook } from './webhook.js';

/** @typedef {import('./client.js').ClientOptions} ClientOptions */
/** @typedef {import('./definition.js').Column} Column */
/** @typedef {import('./definition.js').Columns} Columns */
/** @typedef {import('./export.js').Export} Export */
/** @typedef {import('./export.js').ExportOptions} ExportOptions */
/** @typedef {import('./progress.js').Progress} Progress */
/** @typedef {import('./settings.js').Settings} Settings */
/** @typedef {import('./status.js').Status} Status */
