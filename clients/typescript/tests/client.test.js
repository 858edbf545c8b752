import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { readFile } from 'node:fs/promises';
import { Client, InvalidRowError, SluiceError, TransportError, UsageError, verifyWebhook, watch } from '@sluice/client';
import { VERSION } from '../src/calls.js';
import { columnsOf } from '../src/definition.js';
import { named, problemOf } from '../src/problem.js';
import { Retry } from '../src/retry.js';
import { failureOf, statusOf } from '../src/status.js';

const answered =
  (text, status = 200, headers = {}) =>
  async () =>
    new Response(text, { status, headers });
const client = (settings) => new Client('https://exports.example.com', settings);

test('columns are names, types or what a column has', () => {
  const amount = { type: 'number', format: '#,##0.00', width: 14 };
  assert.deepEqual(columnsOf({ id: 'number', amount }), [
    { name: 'id', type: 'number' },
    { name: 'amount', ...amount },
  ]);
  assert.deepEqual(columnsOf(['a', { name: '2024', type: 'date' }]), [
    { name: 'a', type: 'string' },
    { name: '2024', type: 'date' },
  ]);
});

const WRONG = {
  'no address': () => new Client('exports.example.com'),
  'another scheme': () => new Client('ftp://exports.example.com'),
  'a user in the address': () => new Client('https://me:secret@exports.example.com'),
  'a blank in the address': () => new Client('https://exports.example.com/ '),
  'a key with a line break': () => client({ key: 'slc\r\nX: 1' }),
  'no such setting': () => client({ trys: 2 }),
  'a setting of another type': () => client({ tries: '2' }),
  'a setting that only Object has': () => client({ toString: 2 }),
  'no tries': () => client({ tries: 0 }),
  'half a try': () => client({ tries: 1.5 }),
  'no format': () => client().export('orders'),
  'a format that only Object has': () => client().export('orders.constructor'),
  'no such type': () => client().export('a.csv', { columns: { a: 'int' } }),
  'columns that JavaScript would move': () => client().export('a.csv', { columns: { name: 'string', 2024: 'number' } }),
  'sheets that JavaScript would move': () => client().export('a.xlsx', { sheets: { name: ['a'], 2024: ['a'] } }),
  'columns and sheets': () => client().export('a.xlsx', { columns: ['x'], sheets: { A: ['x'] } }),
  'a sheet twice': () =>
    client().export('a.xlsx', {
      sheets: [
        { name: 'A', columns: ['x'] },
        { name: 'A', columns: ['x'] },
      ],
    }),
  'an empty key': () => client().export('a.csv', { columns: ['x'], key: '' }),
  'less than no rows': () => client().export('a.csv', { columns: ['x'], expectedRows: -1 }),
  'no id': () => client().find(''),
};

for (const [name, call] of Object.entries(WRONG)) {
  test(`what is wrong in itself throws before anything is sent: ${name}`, () => {
    assert.throws(
      call,
      (error) => error instanceof UsageError && error.code === 'USAGE' && !error.message.includes('secret'),
    );
  });
}

test('what only shows at the open throws there, before anything is sent', async () => {
  const silent = client({ fetch: () => assert.fail('it was sent') });
  await assert.rejects(silent.export('a.csv').open(), UsageError);
  await assert.rejects(silent.export('a.csv', { columns: ['a'] }).wait(), UsageError);
  for (const rows of [null, 'abc', 5, { length: 1 }, Promise.resolve([[1]])]) {
    await assert.rejects(silent.find('t').push(rows, { sequence: 1 }), UsageError);
  }
});

test('the pauses double, half of each is chance, and the service may ask for more', () => {
  const settings = { tries: 6, pause: 1, pauseMax: 4, firstContact: 10 };
  for (const [chance, expected] of [
    [0, [0.5, 1, 2, 2, 2, null]],
    [1, [1, 2, 4, 4, 4, null]],
  ]) {
    const retry = new Retry(settings, { clock: () => 0, random: () => chance });
    assert.deepEqual(
      expected.map(() => retry.pause(0, true)),
      expected,
    );
  }
  const once = () => new Retry(settings, { clock: () => 0, random: () => 0 });
  assert.equal(once().pause(7, true), 7.5);
  assert.equal(once().pause(3600, true), 30.5);
});

test('a server that never answered is given up after the first contact, one that did is not', () => {
  let now = 100;
  const retry = new Retry(
    { tries: 100, pause: 1, pauseMax: 1, firstContact: 10 },
    { clock: () => now, random: () => 1 },
  );
  now = 109;
  assert.equal(retry.pause(0, false), 1);
  now = 109.1;
  assert.equal(retry.pause(0, false), null);
  assert.equal(retry.pause(0, true), 1);
});

test('each failed try is reported with its pause, and the last error is thrown', async () => {
  const pauses = [];
  const settings = { tries: 4, pause: 0.001, onRetry: (error, pause) => pauses.push([error.status, pause <= 0.008]) };
  const busy = client({ ...settings, fetch: answered('', 503) });
  await assert.rejects(busy.find('t').status(), {
    name: 'TransportError',
    code: 'UNEXPECTED_ANSWER',
    status: 503,
    retryable: true,
  });
  assert.deepEqual(pauses, [
    [503, true],
    [503, true],
    [503, true],
  ]);
});

test('a call without an answer ends after the time for it', async () => {
  const fetch = (_, { signal }) =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  await assert.rejects(client({ fetch, tries: 1, answerTimeout: 0.01 }).find('t').status(), {
    name: 'TransportError',
    code: 'UNREACHABLE',
    retryable: true,
    taskId: 't',
    message: /exports.example.com.* 0.01 seconds/,
  });
});

test('certificates that are not trusted are not tried again', async () => {
  let tried = 0;
  const fetch = async () => {
    tried++;
    throw new TypeError('fetch failed', {
      cause: Object.assign(new Error('self-signed certificate'), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' }),
    });
  };
  await assert.rejects(client({ fetch }).find('t').status(), {
    code: 'UNREACHABLE',
    retryable: false,
    message: /self-signed/,
  });
  assert.equal(tried, 1);
});

test('answers that are none of the service are named', async () => {
  const of = (status, text, headers = {}) =>
    problemOf({ status, text, headers: new Headers(headers) }, 'https://e', 't1');
  const large = of(413, '<html>too large</html>', { 'x-request-id': 'r1', 'retry-after': '3' });
  assert.deepEqual(
    [large.code, large.status, large.retryable, large.taskId, large.requestId, large.retryAfter],
    ['UNEXPECTED_ANSWER', 413, false, 't1', 'r1', 3],
  );
  assert.match(large.message, /client_max_body_size/);
  assert.equal(of(400, '{"code":"\\u001b[2J"}').code, 'UNEXPECTED_ANSWER');
  for (const text of ['<html>', '[]', 'null', '5']) {
    await assert.rejects(
      client({ fetch: answered(text) })
        .find('t')
        .status(),
      { code: 'UNEXPECTED_ANSWER', retryable: false },
    );
  }
});

test('a problem of the service has its members, and its class says what to do', () => {
  const text = JSON.stringify({
    code: 'QUEUE_FULL',
    detail: 'd',
    who: 'platform',
    retryable: true,
    request_id: 'r',
    status: 429,
    open: 4,
  });
  const error = problemOf({ status: 429, text, headers: new Headers({ 'retry-after': '7' }) }, 'https://e', 't');
  const { name, code, status, retryable, retryAfter, who, requestId, taskId, facts, message } = error;
  assert.deepEqual(
    { name, code, status, retryable, retryAfter, who, requestId, taskId, facts },
    {
      name: 'BusyError',
      code: 'QUEUE_FULL',
      status: 429,
      retryable: true,
      retryAfter: 7,
      who: 'platform',
      requestId: 'r',
      taskId: 't',
      facts: { open: 4 },
    },
  );
  assert.equal(message, 'QUEUE_FULL: d (export t, request r)');
  assert(error instanceof SluiceError);
  assert(named('INVALID_REQUEST', 'a name too many', { facts: { row: 2 } }) instanceof InvalidRowError);
  assert(named('INVALID_REQUEST', 'No JSON.', {}) instanceof UsageError);
});

test('members of another kind are no answer of the service', () => {
  const right = {
    task_id: 't',
    state: 'failed',
    warnings: [{ kind: 'k', count: 1 }],
    error: { code: 'X', message: 'm' },
  };
  assert.deepEqual(statusOf(right).warnings, { k: 1 });
  assert.equal(failureOf(statusOf(right)).code, 'X');
  const odd = {
    task_id: 5,
    state: null,
    filename: [],
    format: [],
    rows_received: 'x',
    progress_percent: [],
    file_size_bytes: 'x',
    checksum_sha256: [],
    warnings: 5,
    expires_at: 1,
    error: 'x',
  };
  for (const [name, value] of [
    ...Object.entries(odd),
    ['warnings', ['x']],
    ['warnings', [null]],
    ['warnings', [{ kind: 1 }]],
    ['error', { code: [] }],
  ]) {
    assert.throws(() => failureOf(statusOf({ ...right, [name]: value })), { code: 'UNEXPECTED_ANSWER' }, name);
  }
});

test('who watches is answered once for each change', async () => {
  const answers = [
    ['open', 0],
    ['open', 0],
    ['open', 5],
    ['completed', 5],
  ].map(([state, rows]) => JSON.stringify({ task_id: 't', state, rows_received: rows }));
  const asked = [];
  const fetch = async (address, { headers }) => {
    asked.push([address, headers.Authorization]);
    return new Response(answers.shift());
  };
  const seen = [];
  for await (const { state, rows } of watch('https://e/prefix/v1/watch/x/', { fetch, seconds: 7 }))
    seen.push([state, rows]);
  assert.deepEqual(seen, [
    ['open', 0],
    ['open', 5],
    ['completed', 5],
  ]);
  assert.deepEqual(asked[0], ['https://e/prefix/v1/watch/x?wait=7', undefined]);
});

test('a list that leads in a circle ends', async () => {
  const circle = client({ fetch: answered('{"tasks":[{"task_id":"t","state":"open"}],"cursor":"c"}') });
  const seen = [];
  await assert.rejects(async () => {
    for await (const status of circle.list()) seen.push(status.taskId);
  }, TransportError);
  assert.deepEqual(seen, ['t', 't']);
});

test('no dump and no error has the key', async () => {
  const sluice = client({
    key: 'slc_of-nobody',
    tries: 1,
    fetch: async () => {
      throw new TypeError('fetch failed');
    },
  });
  const orders = sluice.export('a.csv', { columns: ['a'] });
  const error = await orders.open().catch((one) => one);
  assert.equal(error.code, 'UNREACHABLE');
  for (const one of [sluice, orders, error]) {
    assert.doesNotMatch(inspect(one, { depth: null, showHidden: true }) + JSON.stringify(one), /slc_of-nobody/);
  }
});

test('a notice is genuine or refused', () => {
  const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
  const body = '{"test": 2432232314}';
  const headers = {
    'Webhook-Id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    'webhook-timestamp': '1614265330',
    'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  };
  const now = 1_614_265_330;
  for (const given of [headers, new Headers(headers)]) {
    assert.deepEqual(verifyWebhook(body, given, ['whsec_b2xk', secret], { now }), { test: 2432232314 });
  }
  assert.deepEqual(verifyWebhook(Buffer.from(body), headers, secret, { now }), { test: 2432232314 });
  const changed = {
    body: [`${body} `, headers, secret, { now }],
    secret: [body, headers, 'whsec_b2xk', { now }],
    time: [body, headers, secret, { now: now + 301 }],
    id: [body, { ...headers, 'Webhook-Id': 'other' }, secret, { now }],
    signature: [body, { ...headers, 'webhook-signature': '' }, secret, { now }],
    'no time': [body, { 'webhook-id': 'x' }, secret],
  };
  for (const [what, call] of Object.entries(changed)) {
    assert.throws(() => verifyWebhook(...call), { name: 'AuthError', code: 'NOT_GENUINE' }, what);
  }
  assert.throws(() => verifyWebhook(body, headers, 'whsec_', { now }), UsageError);
});

test('the package and what its requests say of it have one version', async () => {
  const { version } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf-8'));
  assert.equal(VERSION, version);
});
