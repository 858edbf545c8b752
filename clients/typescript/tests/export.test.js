/** What an export does, against the service at SLUICE_URL; tests/senders/test_typescript.py starts one. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { Client, ExportFailedError, SourceChangedError, UsageError, watch } from '@sluice/client';

const { SLUICE_URL: url } = process.env;
const FAST = { pause: 0.01, pauseMax: 0.05 };
const KEY = `订单 2026-11 é ${Date.now()}`;
const CSV = { options: { formula_guard: 'off' } };

/** @param {Partial<import('@sluice/client').Settings>} [settings] */
const client = (settings) => new Client(url, { ...FAST, ...settings });

/** The rows of a finished export of CSV, as lines. */
async function linesOf(orders) {
  await orders.wait();
  return (await text(await orders.stream())).replace('\ufeff', '').trimEnd().split(/\r?\n/).slice(1);
}

/** @param {string} name */
const about = (name, action) =>
  test(name, { skip: url === undefined && 'SLUICE_URL is not set', timeout: 60_000 }, action);

about('a second write of one table is refused, and steps are not', async () => {
  const orders = client().export('a.csv', { columns: ['a'], ...CSV });
  await orders.write([['1']]);
  await assert.rejects(orders.write([['2']]), { name: 'UsageError', message: /push\(\)/ });
  const steps = client().export('b.csv', { columns: ['a'], ...CSV });
  await steps.push([['1']]);
  await steps.push([['2']]);
  await steps.close();
  assert.deepEqual(await linesOf(steps), ['1', '2']);
});

about('rows that were read in one export that failed are no table of another', async () => {
  for (const make of [
    function* () {
      yield* [['1'], ['\ud800'], ['3']];
    },
    async function* () {
      yield* [['1'], ['\ud800'], ['3']];
    },
    () => {
      const one = [['1'], ['\ud800'], ['3']].values();
      return { [Symbol.iterator]: () => one }; // as a cursor that goes on where it was
    },
  ]) {
    const rows = make();
    await assert.rejects(client().export('a.csv', { columns: ['a'] }).write(rows), { code: 'INVALID_TEXT' });
    await assert.rejects(client().export('a.csv', { columns: ['a'] }).write(rows), { name: 'UsageError', message: /again/ });
  }
});

about('rows may come from lists, generators, asynchronous generators, streams and promises', async () => {
  const sources = {
    list: () => [['1'], ['2']],
    generator: function* () {
      yield* [['1'], ['2']];
    },
    asynchronous: async function* () {
      yield* [['1'], ['2']];
    },
    stream: () =>
      new ReadableStream({
        start(to) {
          to.enqueue(['1']);
          to.enqueue(['2']);
          to.close();
        },
      }),
    promises: () => [Promise.resolve(['1']), Promise.resolve(['2'])],
    set: () => new Set([{ a: '1' }, { a: '2' }]),
  };
  for (const [name, rows] of Object.entries(sources)) {
    const orders = client().export('a.csv', { columns: ['a'], ...CSV });
    assert.deepEqual(await linesOf(await orders.write(rows())), ['1', '2'], name);
  }
});

about('calls that are made at once take turns: sheets are numbered in the order of the calls', async () => {
  const shop = client({ batchRows: 1 }).export('c.xlsx', { sheets: { A: ['a'], B: ['a'] } });
  await Promise.all([
    shop.write(
      (async function* () {
        yield ['1'];
        yield ['2'];
      })(),
      { sheet: 'A' },
    ),
    shop.write([['3']], { sheet: 'B' }),
  ]);
  const { answer } = await shop.wait();
  assert.deepEqual(
    answer.sheets.map(({ name, rows }) => [name, rows]),
    [
      ['A', 2],
      ['B', 1],
    ],
  );
  await assert.rejects(shop.write([['4']], { sheet: 'A' }), UsageError);
});

about('a key of any language is the same export again, and rows that changed begin anew', async () => {
  const run = (rows) =>
    client()
      .export('a.csv', { columns: ['a'], key: KEY, ...CSV })
      .write(rows);
  const first = client().export('a.csv', { columns: ['a'], key: KEY, ...CSV });
  await first.push([['1'], ['2']]);
  await assert.rejects(run([['1'], ['3']]), { name: 'SourceChangedError', code: 'BATCH_CONFLICT' });
  const anew = client().export('a.csv', { columns: ['a'], key: KEY, ...CSV });
  await (await anew.restart()).write([['1'], ['3']]);
  assert.notEqual(await anew.id(), await first.id());
  assert.equal(await (await run([['1'], ['3']])).id(), await anew.id());
  assert.deepEqual(await linesOf(anew), ['1', '3']);
  await anew.delete();
  assert(
    ![await anew.id(), await first.id()].includes(await (await run([['1']])).id()),
    'one that was deleted is over',
  );
});

about('rows that failed half-way are the same batches when they are sent again', async () => {
  const orders = client({ batchRows: 2 }).export('a.csv', { columns: ['a'], key: `half-way ${Date.now()}`, ...CSV });
  const rows = function* (bad) {
    for (let number = 1; number <= 9; number++) yield [number === bad ? Symbol('x') : String(number)];
  };
  await assert.rejects(orders.write(rows(8)), { code: 'INVALID_VALUE', row: 8 });
  assert.equal((await linesOf(await orders.write(rows(0)))).length, 9);
});

about('a write that failed without a key is cancelled, and may be repeated', async () => {
  const orders = client().export('a.csv', { columns: ['a'], ...CSV });
  const id = await orders.id();
  await assert.rejects(orders.write([['1'], [NaN]]), { name: 'InvalidRowError', row: 2, column: 'a' });
  assert.equal((await client().find(id).status()).state, 'cancelled');
  await assert.rejects(client().find(id).wait(), (error) => error instanceof ExportFailedError && error.taskId === id);
  assert.deepEqual(await linesOf(await orders.write([['1'], ['2']])), ['1', '2']);
});

about('a batch whose rows failed half-way takes the same rows from their first alone', async () => {
  const rows = (function* () {
    yield* [['1'], [NaN], ['3']];
  })();
  const orders = client().export('a.csv', { columns: ['a'] });
  await assert.rejects(orders.push(rows, { sequence: 1 }), { code: 'INVALID_VALUE' });
  await assert.rejects(orders.push(rows, { sequence: 1 }), { name: 'UsageError', message: /read before/ });
  assert.equal((await orders.status()).batches, 0);
});

about('rows that cannot be read twice are not taken for the whole table', async () => {
  const rows = (function* () {
    yield* [['1'], [NaN], ['3']];
  })();
  const orders = client().export('a.csv', { columns: ['a'] });
  await assert.rejects(orders.write(rows), { code: 'INVALID_VALUE' });
  await assert.rejects(orders.write(rows), { name: 'UsageError', message: /read before/ });
});

about('what is never closed is not waited for', async () => {
  const shop = client().export('a.xlsx', { sheets: { A: ['x'], B: ['x'] } });
  await shop.write([], { sheet: 'A' });
  await assert.rejects(shop.wait(0), { name: 'UsageError', message: /sheet B is not written/ });
  const steps = client().export('a.csv', { columns: ['x'] });
  await steps.push([['1']]);
  await assert.rejects(steps.wait(0), { name: 'UsageError', message: /close\(\) is missing/ });
});

about('an export that is found takes numbered batches, and nothing that needs its definition', async () => {
  const id = await client()
    .export('a.csv', { columns: ['a'], ...CSV })
    .id();
  const found = client().find(id);
  for (const call of [() => found.write([]), () => found.push([['x']]), () => found.restart(), () => found.restartIfStopped()]) {
    await assert.rejects(call(), { name: 'UsageError', message: /found/ });
  }
  await Promise.all([
    found.push([['2']], { sequence: 2 }),
    client()
      .find(id)
      .push([['1']], { sequence: 1 }),
  ]);
  await assert.rejects(client().find(id).close({ batches: 3 }), { code: 'BATCHES_MISSING' });
  await client().find(id).close({ batches: 2, rows: 2 });
  assert.deepEqual(await linesOf(client().find(id)), ['1', '2']);
});

about('of rows no more is read than batches may be on their way', async () => {
  let read = 0;
  let asked = 0;
  let [release, full] = [() => {}, () => {}];
  const held = new Promise((resolve) => (release = resolve));
  const filled = new Promise((resolve) => (full = resolve));
  const fetch = async (address, request) => {
    if (request.method === 'PUT') {
      if (++asked === 3) full();
      await held;
    }
    return globalThis.fetch(address, request);
  };
  const rows = function* () {
    while (read < 100) yield [String(read++)];
  };
  filled.then(async () => {
    for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate); // time enough to read on
    assert.deepEqual([read, asked], [30, 3]);
    release();
  });
  const orders = await client({ fetch, batchRows: 10, inFlight: 3 })
    .export('a.csv', { columns: ['a'], ...CSV })
    .write(rows());
  assert.equal((await linesOf(orders)).length, 100);
  assert.equal(asked, 10);
});

about('an abort ends a write that waits for a row, lets the source go and cancels the export', async () => {
  const stop = new AbortController();
  let isClosed = false;
  const rows = {
    [Symbol.asyncIterator]: () => ({
      next: () => new Promise(() => setImmediate(() => stop.abort(new Error('enough')))),
      return: async () => {
        isClosed = true;
        return { done: true };
      },
    }),
  };
  const orders = client().export('a.csv', { columns: ['a'] });
  const id = await orders.id();
  await assert.rejects(orders.write(rows, { signal: stop.signal }), { message: 'enough' });
  assert(isClosed);
  assert.equal((await client().find(id).status()).state, 'cancelled');
  for (const call of [
    (how) => orders.write([], how),
    (how) => orders.push([], { ...how, sequence: 1 }),
    (how) => client().find(id).wait(1, how),
  ]) {
    await assert.rejects(call({ signal: stop.signal }), { message: 'enough' });
  }
});

about('an abort ends the waiting for what another call sends, and a wait ends with its time', async () => {
  const orders = client().export('a.csv', { columns: ['a'] });
  const [silent, stop] = [new AbortController(), new AbortController()];
  let reads;
  const isRead = new Promise((resolve) => (reads = resolve));
  const source = { [Symbol.asyncIterator]: () => ({ next: () => (reads(), new Promise(() => {})) }) };
  const write = orders.write(source, { signal: silent.signal });
  await isRead;
  await assert.rejects(orders.wait(0.01), { name: 'NotReadyError', code: 'NOT_READY' });
  const { signal } = stop;
  const calls = [orders.wait(60, { signal }), orders.close({ signal }), orders.restart({ signal })];
  calls.push(orders.push([['1']], { signal }), orders.restartIfStopped(1, { signal }));
  stop.abort(new Error('enough'));
  for (const one of await Promise.allSettled(calls)) assert.equal(one.reason?.message, 'enough');
  silent.abort(new Error('silent'));
  await assert.rejects(write, { message: 'silent' });
  await orders.write([['1']]);
  assert.deepEqual(await linesOf(orders), ['1']);
});

about('an abort ends a wait, and a pause before another try', async () => {
  const open = await client()
    .export('a.csv', { columns: ['a'] })
    .id();
  const waited = new AbortController();
  const fetch = (address, request) => {
    setImmediate(() => waited.abort());
    return globalThis.fetch(address, request);
  };
  await assert.rejects(client({ fetch }).find(open).wait(60, { signal: waited.signal }), { name: 'AbortError' });
  const paused = new AbortController();
  const busy = client({
    pause: 60,
    pauseMax: 60,
    fetch: async () => new Response('', { status: 503 }),
    onRetry: () => setImmediate(() => paused.abort()),
  });
  await assert.rejects(busy.find(open).status({ signal: paused.signal }), { name: 'AbortError' });
});

about('a refusal ends a write whose source is silent', async () => {
  const rows = (async function* () {
    yield ['many'];
    await new Promise(() => {});
  })();
  const orders = client({ batchRows: 1 }).export('a.csv', { columns: { a: 'number' } });
  await assert.rejects(orders.write(rows), { name: 'InvalidRowError', code: 'INVALID_VALUE', row: 1, column: 'a' });
});

about('requests on their way are answered before a refusal, unless an abort ends them', async () => {
  for (const aborts of [false, true]) {
    const stop = new AbortController();
    const said = [];
    const fetch = async (address, request) => {
      const [, batch] = /batches\/(.)/.exec(address) ?? [];
      if (batch === undefined) return globalThis.fetch(address, request);
      said.push(batch);
      if (batch !== '1') {
        await new Promise((resolve) => {
          setTimeout(resolve, aborts ? 60_000 : 100).unref();
          request.signal.addEventListener('abort', resolve);
        });
        said.push(request.signal.aborted ? 'aborted' : 'answered');
        return batch === '2' ? new Response('', { status: 503 }) : Response.json({});
      }
      if (aborts) setTimeout(() => stop.abort(new Error('enough')), 50);
      return Response.json({ code: 'BATCH_CONFLICT' }, { status: 409 });
    };
    const orders = client({ batchRows: 1, fetch }).export('a.csv', { columns: ['a'], key: `${KEY} refused ${aborts}` });
    await assert.rejects(orders.write([['1'], ['2'], ['3']], { signal: stop.signal }), { code: 'BATCH_CONFLICT' });
    const how = aborts ? 'aborted' : 'answered';
    assert.deepEqual(said, ['1', '2', '3', how, how]);
  }
});

about('what a source throws is thrown', async () => {
  const rows = (async function* () {
    yield ['1'];
    throw new RangeError('no such table');
  })();
  await assert.rejects(
    client()
      .export('a.csv', { columns: ['a'] })
      .write(rows),
    RangeError,
  );
});

about('the progress of an announced table covers the sending', async () => {
  const seen = [];
  const orders = client({ inFlight: 1 }).export('a.csv', {
    columns: ['a'],
    expectedRows: 12_000,
    onProgress: ({ percent, rows }) => seen.push([rows, percent]),
  });
  await orders.write(Array.from({ length: 12_000 }, () => ['x']));
  assert.deepEqual(seen, [
    [5000, 31.25],
    [10_000, 62.5],
    [12_000, 75],
  ]);
  await orders.wait();
  assert.deepEqual(seen.at(-1), [12_000, 100]);
});

about('who watches sees the state change, to the end', async () => {
  const orders = client().export('a.csv', { columns: ['a'] });
  const address = await orders.watchUrl();
  const seen = [];
  for await (const { state, rows } of watch(address, { seconds: 0.05 })) {
    seen.push(`${state} ${rows}`);
    if (seen.length === 1) await orders.push([['1']]);
    if (seen.length === 2) await orders.close();
  }
  assert.deepEqual([seen[0], seen[1], seen.at(-1)], ['open 0', 'open 1', 'completed 1']);
  assert.match(await (await fetch(`${address}/file`)).text(), /a\r?\n1\r?\n$/);
  const wrong = new URL(address).origin + '/v1/watch/W10=.secret';
  await assert.rejects(watch(wrong).next(), (error) => error.name === 'AuthError' && !error.message.includes('secret'));
});

about('exports are listed, rendered again and deleted', async () => {
  const sluice = client();
  const orders = sluice.export('listed.csv', { columns: ['a'], ...CSV });
  await orders.write([['1']]);
  await orders.wait();
  const other = await orders.renderAs('jsonl', { filename: 'other.jsonl' });
  await other.wait();
  assert.equal(await text(await other.stream()), '{"a":"1"}\n');
  const names = [];
  for await (const { filename } of sluice.list({ state: 'completed' })) names.push(filename);
  assert(names.includes('listed.csv') && names.includes('other.jsonl'));
  await assert.rejects(orders.cancel(), { name: 'RefusedError', code: 'ALREADY_COMPLETED' });
  await orders.delete();
  await assert.rejects(orders.status(), { name: 'ExportFailedError' });
});

about('a file that cannot be written is named, and nothing is left', async () => {
  const orders = await client()
    .export('a.csv', { columns: ['a'] })
    .write([['1']]);
  await orders.wait();
  await assert.rejects(orders.saveTo('/no such folder/a.csv'), {
    name: 'TransportError',
    code: 'NOT_WRITTEN',
    retryable: false,
  });
  await assert.rejects(readFile('/no such folder/a.csv'));
});
