import { InvalidRowError } from './errors.js';

/** A surrogate without its other half: with this flag, pairs are one character. */
const LONE = /\p{Surrogate}/u;
const ALL_LONE = /\p{Surrogate}/gu;

/**
 * Rows of one table as JSON. A cell is null, a boolean, a number, a bigint, a text, a date, or an object whose `toJSON`
 * gives one of these.
 *
 * What cannot be a cell is refused before it is sent, with its row and column.
 */
export class RowEncoder {
  #names;
  #sheet;
  #substitutes;

  /**
   * @param {string[]} names of the columns; empty where only the service knows them
   * @param {string} sheet
   * @param {boolean} substitutes whether U+FFFD takes the place of what is not Unicode
   */
  constructor(names, sheet, substitutes) {
    this.#names = names;
    this.#sheet = sheet;
    this.#substitutes = substitutes;
  }

  /**
   * One row as JSON: a list by place, or an object by the column's name.
   *
   * @param {unknown} row
   * @param {number} number of the row in its table, from 1, for errors
   * @returns {string}
   * @throws {InvalidRowError}
   */
  encode(row, number) {
    const cells = this.#cellsOf(row, number);
    let json = '';
    if (Array.isArray(cells)) {
      for (let place = 0; place < cells.length; place++) {
        if (cells[place] === undefined) {
          throw this.#refused(
            'INVALID_VALUE',
            'A row by place has no holes and no undefined; null is an empty cell',
            place,
            number,
          );
        }
        json += (place === 0 ? '' : ',') + this.#cell(cells[place], place, number);
      }
      return `[${json}]`;
    }
    for (const name of Object.keys(cells)) {
      if (cells[name] === undefined) continue; // as JSON has it: left out
      if (LONE.test(name))
        throw new InvalidRowError('A name of a cell is not Unicode', 'INVALID_TEXT', this.#at(number));
      json += `${json === '' ? '' : ','}${JSON.stringify(name)}:${this.#cell(cells[name], name, number)}`;
    }
    return `{${json}}`;
  }

  /**
   * @param {unknown} row
   * @param {number} number
   * @returns {unknown[] | Record<string, unknown>}
   */
  #cellsOf(row, number) {
    if (Array.isArray(row)) return row;
    let cells = row;
    if (row instanceof Map) {
      cells = Object.fromEntries(row);
    } else if (isObject(row) && typeof row.toJSON === 'function' && !ArrayBuffer.isView(row)) {
      cells = row.toJSON(); // a model of an ORM
      if (isObject(cells) && !Array.isArray(cells)) return this.#shownBy(row, cells, number);
    }
    if (Array.isArray(cells)) return cells;
    if (isObject(cells) && !ArrayBuffer.isView(cells) && !isPlain(cells) && this.#names.some((name) => name in cells)) {
      return this.#declaredOf(cells, number);
    }
    if (!isObject(cells) || ArrayBuffer.isView(cells) || !hasCells(cells)) {
      const what = typeof cells === 'object' ? 'an object without cells' : typeof cells;
      throw new InvalidRowError(
        `A row is an array of cells, or an object by column name, not ${what}`,
        'INVALID_REQUEST',
        this.#at(number),
      );
    }
    return cells;
  }

  /**
   * The declared columns of an object of a class, whose getters and inherited members are no names of its own.
   *
   * @param {Record<string, any>} one
   * @param {number} number
   * @returns {Record<string, unknown>}
   * @throws {InvalidRowError}
   */
  #declaredOf(one, number) {
    const cells = { ...one };
    for (const name of this.#names) {
      if (!(name in one))
        throw this.#refused('INVALID_REQUEST', 'The object shows nothing of this name', name, number);
      cells[name] = one[name];
    }
    return cells;
  }

  /**
   * The declared columns of a model. Its JSON leaves out what it hides, which is not empty.
   *
   * @param {Record<string, any>} model
   * @param {Record<string, any>} json
   * @param {number} number
   * @returns {Record<string, unknown>}
   */
  #shownBy(model, json, number) {
    const cells = { ...json };
    for (const name of this.#names) {
      if (cells[name] === undefined) cells[name] = model[name];
      if (cells[name] === undefined)
        throw this.#refused('INVALID_REQUEST', 'The object shows nothing of this name', name, number);
    }
    return cells;
  }

  /**
   * @param {unknown} cell
   * @param {number | string} column its place or its name
   * @param {number} number
   * @returns {string}
   */
  #cell(cell, column, number) {
    switch (typeof cell) {
      case 'string':
        return JSON.stringify(LONE.test(cell) ? this.#whole(cell, column, number) : cell);
      case 'number':
        if (!Number.isFinite(cell))
          throw this.#refused('INVALID_VALUE', `A cell cannot hold the number ${cell}`, column, number);
        return JSON.stringify(cell);
      case 'boolean':
      case 'bigint':
        return String(cell);
      case 'object':
        return cell === null ? 'null' : this.#object(cell, column, number);
      default:
        throw this.#refused('INVALID_VALUE', `A cell cannot hold a ${typeof cell}`, column, number);
    }
  }

  /**
   * @param {object} cell
   * @param {number | string} column
   * @param {number} number
   * @returns {string}
   */
  #object(cell, column, number) {
    if (cell instanceof Date) {
      if (Number.isNaN(cell.getTime()))
        throw this.#refused('INVALID_VALUE', 'The Date is none (Invalid Date)', column, number);
      return JSON.stringify(cell.toISOString());
    }
    const value = plainOf(cell);
    if (value === undefined || isObject(value)) {
      const what = Array.isArray(cell) ? 'an array' : `an object of class ${cell.constructor?.name || 'Object'}`;
      throw this.#refused(
        'INVALID_VALUE',
        `A cell holds one value, not ${what}; JSON.stringify() makes a text of it`,
        column,
        number,
      );
    }
    return this.#cell(value, column, number);
  }

  /**
   * @param {string} text
   * @param {number | string} column
   * @param {number} number
   */
  #whole(text, column, number) {
    if (this.#substitutes) return text.replace(ALL_LONE, '\ufffd');
    throw this.#refused(
      'INVALID_TEXT',
      "The text is not Unicode (a lone surrogate); mend it, or set surrogates: 'substitute'",
      column,
      number,
    );
  }

  /**
   * @param {string} code
   * @param {string} detail
   * @param {number | string} column
   * @param {number} number
   */
  #refused(code, detail, column, number) {
    const name = typeof column === 'number' ? (this.#names[column] ?? String(column + 1)) : column;
    return new InvalidRowError(detail, code, this.#at(number, { column: name }));
  }

  /**
   * @param {number} number
   * @param {Record<string, unknown>} [facts]
   * @returns {import('./errors.js').Known}
   */
  #at(number, facts = {}) {
    return { who: 'client', facts: { ...facts, row: number, ...(this.#sheet === '' ? {} : { sheet: this.#sheet }) } };
  }
}

/**
 * @param {unknown} value
 * @returns {value is Record<string, any>}
 */
function isObject(value) {
  return typeof value === 'object' && value !== null;
}

/** @param {object} cells */
function isPlain(cells) {
  const kind = Object.getPrototypeOf(cells);
  return kind === null || Object.getPrototypeOf(kind) === null; // that of another realm is another object
}

/**
 * A promise, a date or an object of getters has no names of its own: as a row it would be empty without a word.
 *
 * @param {object} cells
 */
function hasCells(cells) {
  const kind = Object.getPrototypeOf(cells);
  return Object.keys(cells).length > 0 || kind === null || kind === Object.prototype;
}

/**
 * What an object is as one value: decimals, identifiers and moments of libraries say it in `toJSON`.
 *
 * @param {object} cell
 * @returns {unknown} undefined where it is not one value
 */
function plainOf(cell) {
  const one = /** @type {any} */ (cell);
  if (one[Symbol.toStringTag] === 'Temporal.ZonedDateTime') {
    // Its JSON has the zone's name behind the offset; an offset with seconds, as long ago, its text would round.
    if (one.offsetNanoseconds % 60e9 !== 0) return one.toInstant().toString();
    return one.toString({ timeZoneName: 'never', calendarName: 'never' });
  }
  return typeof one.toJSON === 'function' ? one.toJSON() : undefined;
}
