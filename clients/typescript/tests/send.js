/**
 * The sender of the conformance suite (tests/senders): does one job, given as JSON on standard input, and says on
 * standard output, in a line of JSON each, how far it is and how it ended.
 */
import { readFileSync, writeSync } from 'node:fs';
import { Client, SluiceError, verifyWebhook } from '@sluice/client';

/** @param {object} what */
const say = (what) => writeSync(1, `${JSON.stringify(what)}\n`);

/** Row `number` of the table that every sender sends; the suite knows it too. */
function row(number, job) {
  const cells = [number, `客户 ${number} 😀, "quoted"\n=1+1`, number % 2 === 0, number % 7 === 0 ? null : number / 4];
  cells.push(`2025031400000${String(number).padStart(7, '0')}`);
  if (number === job.odd_row) {
    const own = { 'broken text': 'broken \ud800 text', 'a moment of long ago': new Date('1900-12-30T15:54:17Z') };
    cells[job.odd_cell] = own[job.odd_value] ?? job.odd_value;
  }
  return cells;
}

/** What a source of rows throws, as a database whose server has gone. */
class SourceError extends Error {}

function* rows(job, count) {
  for (let number = 1; number <= count; number++) {
    if (number === job.fails_at) throw new SourceError('the database went away');
    yield row(number, job);
  }
}

/** As a program that tries again with the rows that it has. */
async function sent(client, job, described, source) {
  for (let left = job.again ?? 0; ; left--) {
    const orders = client.export(job.filename, described);
    try {
      if (job.restart === 'stopped') await orders.restartIfStopped(job.look_s);
      else if (job.restart) await orders.restart();
      return job.columns ? await orders.write(source) : orders;
    } catch (error) {
      if (left === 0 || !(error instanceof SluiceError)) throw error;
      say({ event: 'progress', rows: 0, state: error.code });
    }
  }
}

const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
const job = JSON.parse(readFileSync(0, 'utf-8'));
try {
  if (job.notice) {
    say({ event: 'done', notice: verifyWebhook(job.notice, job.headers, job.secrets) });
  } else {
    await run();
  }
} catch (error) {
  const isOurs = error instanceof SluiceError;
  if (!isOurs && !(error instanceof SourceError)) throw error;
  say({
    event: 'failed',
    kind: error.name.replace(/Error$/, 'Exception'), // the suite has the names of PHP
    code: isOurs ? error.code : 'SOURCE',
    row: error.row,
    column: error.column,
    status: error.status,
    retryable: error.retryable ?? false,
    task_id: error.taskId,
    request_id: error.requestId,
    message: error.message,
  });
}

async function run() {
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
  const once = rows(job, job.rows);
  const source = job.source === 'list' ? { [Symbol.iterator]: () => rows(job, job.rows) } : once;
  let orders = job.task_id
    ? client.find(job.task_id, { onProgress })
    : await sent(client, job, described, source);
  if (job.twice) orders = await sent(client, job, described, source);
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
}
