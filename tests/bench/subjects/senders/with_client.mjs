// The JavaScript client, as run.php runs the PHP clients: the job comes as JSON on standard input.
import { readFileSync, writeFileSync } from 'node:fs';
import { Client } from '../../../../clients/typescript/src/index.js';

const job = JSON.parse(readFileSync(0, 'utf-8'));
const { columns, rows: block } = JSON.parse(readFileSync(job.table, 'utf-8'));

function* rows() {
  for (let index = 0; index < job.rows; index++) {
    const row = block[index % block.length].slice();
    row[0] = job.first + index;
    yield row;
  }
}

const cpu = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};
const resident = (line) => 1024 * Number(new RegExp(`${line}:\\s+(\\d+)`).exec(readFileSync('/proc/self/status'))[1]);

let before = cpu();
for (const row of rows()) {
  if (row.length === 0) throw new Error('a row has cells');
}
const ofRows = cpu() - before;
const orders = new Client(job.url).export('orders.xlsx', { columns });
writeFileSync('/proc/self/clear_refs', '5'); // the peak starts at what is resident now
const resting = resident('VmRSS');
const started = performance.now();
before = cpu();
await orders.push(rows());
const pushed = performance.now();
await orders.close();
await orders.wait();
const taken = {
  pushed_s: (pushed - started) / 1e3,
  finished_s: (performance.now() - started) / 1e3,
  cpu_s: cpu() - before - ofRows,
  peak_bytes: 0,
  grown_bytes: resident('VmHWM') - resting,
};
process.stdout.write(JSON.stringify(taken));
