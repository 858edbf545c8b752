/**
 * The sender of the conformance suite (tests/senders): does one job, given as JSON on standard input, and says on
 * standard output, in a line of JSON each, how far it is and how it ended.
 */
import { readFileSync, writeSync } from 'node:fs';
import { Client, SluiceError } from '@sluice/client';

/** @param {object} what */
const say = (what) => writeSync(1, `${JSON.stringify(what)}\n`);

/** Row `number` of the table that every sender sends; the suite knows it too. */
function row(number, job) {
  const cells = [number, `客户 ${number} 😀, "quoted"\n=1+1`, number % 2 === 0, number % 7 === 0 ? null : number / 4];
  cells.push(`2025031400000${String(number).padStart(7, '0')}`);
  if (number === job.odd_row) {
    cells[job.odd_cell] = job.odd_value === 'broken text' ? 'broken \ud800 text' : job.odd_value;
  }
  return cells;
}

function* rows(job, count) {
  for (let number = 1; number <= count; number++) {
    yield row(number, job);
  }
}

const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
const job = JSON.parse(readFileSync(0, 'utf-8'));
try {
  const settings = Object.entries(job.settings ?? {}).map(([name, value]) => [camel(name), value]);
  const client = new Client(job.url, { key: job.key ?? '', ...Object.fromEntries(settings) });
  let last = { rows: 0, batches: 0, replayed: 0, retries: 0 };
  const onProgress = (progress) => {
    last = progress;
    say({ event: 'progress', rows: progress.rows, state: progress.state });
  };
  const sheets =
    job.sheets && Object.fromEntries(Object.entries(job.sheets).map(([name, sheet]) => [name, sheet.columns]));
  const described = { columns: job.columns, sheets, options: job.options, key: job.idempotency_key, onProgress };
  const orders = job.task_id ? client.find(job.task_id, { onProgress }) : client.export(job.filename, described);
  if (job.restart) await orders.restart();
  if (job.columns) await orders.write(rows(job, job.rows));
  for (const [name, sheet] of Object.entries(job.sheets ?? {})) {
    await orders.write(rows(job, sheet.rows), { sheet: name });
  }
  const status = await orders.wait(job.wait_s ?? 120);
  if (job.save_to) await orders.saveTo(job.save_to);
  say({
    event: 'done',
    task_id: await orders.id(),
    rows: status.rows,
    warnings: status.warnings,
    watch_url: job.columns ? await orders.watchUrl() : null,
    sent: last.rows,
    replayed: last.replayed,
    batches: last.batches,
    retries: last.retries,
    peak_bytes: process.resourceUsage().maxRSS * 1024,
  });
} catch (error) {
  if (!(error instanceof SluiceError)) throw error;
  say({
    event: 'failed',
    kind: error.name.replace(/Error$/, 'Exception'), // the suite has the names of PHP
    code: error.code,
    row: error.row,
    column: error.column,
    status: error.status,
    retryable: error.retryable,
    task_id: error.taskId,
    request_id: error.requestId,
    message: error.message,
  });
}
