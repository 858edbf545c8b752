import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvalidRowError } from '@sluice/client';
import { RowEncoder } from '../src/row-encoder.js';

const encoder = (substitutes = false) => new RowEncoder(['id', 'name', 'day', 'at'], '', substitutes);
const moment = new Date('2025-03-01T00:30:00.500+08:00');

/** As an ORM's: its JSON hides the day. */
class Model {
  constructor() {
    Object.defineProperty(this, 'day', { value: '2026-11-30', enumerable: false });
  }

  toJSON() {
    return { id: 7, name: 'of a model', at: null };
  }
}

class Decimal {
  toJSON() {
    return '20250314000000000123.10';
  }
}

class Zoned {
  offsetNanoseconds = 8 * 3600e9;

  get [Symbol.toStringTag]() {
    return 'Temporal.ZonedDateTime';
  }

  toString({ timeZoneName }) {
    return timeZoneName === 'never' ? '2026-11-02T08:30:00+08:00' : '2026-11-02T08:30:00+08:00[Asia/Shanghai]';
  }

  toJSON() {
    return this.toString({});
  }
}

class ZonedLongAgo extends Zoned {
  offsetNanoseconds = (8 * 3600 + 5 * 60 + 43) * 1e9;

  toInstant() {
    return { toString: () => '1900-12-30T15:54:17Z' };
  }
}

class Order {
  id = 7;
  day = null;
  at = null;
  #name = 'of a getter';

  get name() {
    return this.#name;
  }
}

/** Whose columns are of what it inherits from, and not enumerable. */
const inheriting = Object.create(Object.create({ name: 'inherited' }), { day: { value: null }, at: { value: null } });
inheriting.id = 7;

const ROWS = {
  'an object of a class with a getter': [new Order(), '{"id":7,"day":null,"at":null,"name":"of a getter"}'],
  'an object that inherits': [inheriting, '{"id":7,"name":"inherited","day":null,"at":null}'],
  'an offset with seconds': [[new ZonedLongAgo()], '["1900-12-30T15:54:17Z"]'],
  'a list': [[1, 'a', null, true], '[1,"a",null,true]'],
  'no cells': [[], '[]'],
  'an object by name': [{ id: 1, name: '王伟 😀' }, '{"id":1,"name":"王伟 😀"}'],
  'names that are left out': [{ id: 1, name: undefined, at: null }, '{"id":1,"at":null}'],
  'a Map': [
    new Map([
      ['id', 1],
      ['name', 'x'],
    ]),
    '{"id":1,"name":"x"}',
  ],
  'an object without a prototype': [Object.assign(Object.create(null), { id: 1 }), '{"id":1}'],
  'a model': [new Model(), '{"id":7,"name":"of a model","at":null,"day":"2026-11-30"}'],
  numbers: [[0.1, -0.5, 1e300, -0], '[0.1,-0.5,1e+300,0]'],
  'a number beyond 2^53, as JavaScript has it': [[9007199254740993], '[9007199254740992]'],
  'a bigint has all digits': [
    [20250314000000000123n, '20250314000000000123'],
    '[20250314000000000123,"20250314000000000123"]',
  ],
  'what JSON escapes': [['a"\\\n\u2028/', ''], '["a\\"\\\\\\n\u2028/",""]'],
  'a Date is its moment': [[1, moment, moment], '[1,"2025-02-28T16:30:00.500Z","2025-02-28T16:30:00.500Z"]'],
  'a decimal': [[1, new Decimal()], '[1,"20250314000000000123.10"]'],
  'a moment with a zone': [[1, new Zoned()], '[1,"2026-11-02T08:30:00+08:00"]'],
};

for (const [name, [row, json]] of Object.entries(ROWS)) {
  test(`a row is JSON: ${name}`, () => {
    assert.equal(encoder().encode(row, 1), json);
    assert.doesNotThrow(() => JSON.parse(json));
  });
}

const REFUSED = {
  'a lone surrogate': [[1, 'a\ud800b'], 'INVALID_TEXT', 'name'],
  'a lone surrogate by name': [{ at: '\udc00' }, 'INVALID_TEXT', 'at'],
  NaN: [[NaN], 'INVALID_VALUE', 'id'],
  'Infinity by name': [{ name: Infinity }, 'INVALID_VALUE', 'name'],
  'a list in a cell': [[1, ['secret']], 'INVALID_VALUE', 'name'],
  'an object in a cell': [[1, { secret: 1 }], 'INVALID_VALUE', 'name'],
  bytes: [[1, Buffer.from('secret')], 'INVALID_VALUE', 'name'],
  'a Date that is none': [[1, 2, new Date('secret')], 'INVALID_VALUE', 'day'],
  'a function': [[() => 'secret'], 'INVALID_VALUE', 'id'],
  'a symbol': [[Symbol('secret')], 'INVALID_VALUE', 'id'],
  'a promise in a cell': [[Promise.resolve('secret')], 'INVALID_VALUE', 'id'],
  'a cell beyond the columns': [[1, 2, 3, 4, NaN], 'INVALID_VALUE', '5'],
  'undefined in a list': [[1, undefined], 'INVALID_VALUE', 'name'],
  // eslint-disable-next-line no-sparse-arrays
  'a hole': [[1, , 3], 'INVALID_VALUE', 'name'],
  'a text as a row': ['secret', 'INVALID_REQUEST', undefined],
  'null as a row': [null, 'INVALID_REQUEST', undefined],
  'a promise as a row': [Promise.resolve([1]), 'INVALID_REQUEST', undefined],
  'a Date as a row': [moment, 'INVALID_REQUEST', undefined],
  'bytes as a row': [Buffer.from('secret'), 'INVALID_REQUEST', undefined],
  'an object of getters': [
    new (class {
      get id() {
        return 1;
      }
    })(),
    'INVALID_REQUEST',
    'name',
  ],
  'a name that is not Unicode': [{ '\ud800': 1 }, 'INVALID_TEXT', undefined],
};

for (const [name, [row, code, column]] of Object.entries(REFUSED)) {
  test(`what is no cell is refused by row and column: ${name}`, () => {
    assert.throws(
      () => encoder().encode(row, 5),
      (error) => {
        assert(error instanceof InvalidRowError);
        assert.deepEqual(
          [error.code, error.row, error.column, error.who, error.retryable],
          [code, 5, column, 'client', false],
        );
        assert.match(error.message, /row 5/);
        assert.doesNotMatch(error.message, /secret/);
        return true;
      },
    );
  });
}

test('text that is not Unicode may be substituted', () => {
  assert.equal(encoder(true).encode([1, 'a\ud800b😀'], 1), '[1,"a\ufffdb😀"]');
});

test('an error of one of several sheets names it', () => {
  assert.throws(() => new RowEncoder([], 'Orders', false).encode([NaN], 2), {
    message: /row 2, column 1, sheet Orders/,
  });
});

test('what a model does not show is not taken for empty', () => {
  assert.throws(() => new RowEncoder(['id', 'secret'], '', false).encode(new Model(), 3), (error) => {
    assert.deepEqual([error.code, error.row, error.column], ['INVALID_REQUEST', 3, 'secret']);
    return true;
  });
});
