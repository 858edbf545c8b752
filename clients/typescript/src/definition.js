import { UsageError } from './errors.js';
import { RowEncoder } from './row-encoder.js';

/** @typedef {'string' | 'number' | 'date' | 'datetime' | 'boolean'} Type */
/**
 * @typedef {object} Column
 * @property {string} name
 * @property {Type} [type] by default string
 * @property {string} [format] of a spreadsheet, such as `#,##0.00`; of a boolean its words, such as `yes/no`
 * @property {number} [width] characters
 */
/**
 * Columns in their order: a list of names (of text) and of columns, or by name a type or what a column has.
 *
 * @typedef {Array<string | Column> | Record<string, Type | Omit<Column, 'name'>>} Columns
 */
/**
 * Tables in their order, by name, or as a list of both.
 *
 * @typedef {Record<string, Columns> | Array<{ name: string, columns: Columns }>} Sheets
 */
/**
 * @typedef {object} Described What an export is.
 * @property {Columns} [columns] of the one table
 * @property {Sheets} [sheets] of several tables
 * @property {Record<string, unknown>} [options] of the file, as in docs/files.md
 * @property {number} [expectedRows] how many rows will come, so that the percentage covers the sending; checked
 *   at the close
 */

const TYPES = ['string', 'number', 'date', 'datetime', 'boolean'];
/** Names that JavaScript puts before all others, whatever their place. */
const MOVED = /^(0|[1-9][0-9]*)$/;

/** What an export is: its file, its tables and their columns, its options. */
export class Definition {
  #file;
  #described;
  /** Columns by sheet; of the one table by the empty text. @type {Map<string, Column[]>} */
  #sheets = new Map();

  /**
   * @param {{ filename: string, format: string }} file
   * @param {Described} described
   * @throws {UsageError}
   */
  constructor(file, described) {
    const { columns, sheets, options = {}, expectedRows } = described;
    this.#file = file;
    this.#described = { options, expectedRows };
    if (columns !== undefined && sheets !== undefined) {
      throw new UsageError('An export has columns, or sheets; not both.');
    }
    if (columns !== undefined) this.#sheets.set('', columnsOf(columns));
    for (const [name, one] of sheetsOf(sheets ?? {})) {
      if (typeof name !== 'string' || name === '' || this.#sheets.has(name))
        throw new UsageError('A sheet has a name of its own.');
      this.#sheets.set(name, columnsOf(one));
    }
    if (typeof options !== 'object' || options === null) throw new UsageError('options are an object.');
    if (expectedRows !== undefined && !(Number.isSafeInteger(expectedRows) && expectedRows >= 0)) {
      throw new UsageError('expectedRows is a number of rows.');
    }
  }

  /** How many rows were announced; 0 where none were. */
  get expectedRows() {
    return this.#described.expectedRows ?? 0;
  }

  /** Declared sheets; none where there is one table, or nothing was declared. */
  get sheetNames() {
    return this.#sheets.has('') ? [] : [...this.#sheets.keys()];
  }

  /**
   * Of the rows of one table. Where nothing was declared, only the service knows the columns.
   *
   * @param {string} sheet
   * @param {boolean} substitutes
   */
  encoder(sheet, substitutes) {
    const columns = this.#sheets.get(sheet);
    if (this.#sheets.size > 0 && columns === undefined) {
      const names = [...this.#sheets.keys()].join(', ');
      if (sheet === '') throw new UsageError(`write() and push() name one of the sheets, { sheet: … }: ${names}.`);
      throw new UsageError(
        names === ''
          ? `There is no sheet "${sheet}" here; there is one table.`
          : `There is no sheet "${sheet}" here; declared are: ${names}.`,
      );
    }
    return new RowEncoder(
      (columns ?? []).map(({ name }) => name),
      sheet,
      substitutes,
    );
  }

  /** As the open takes it. */
  body() {
    const { options, expectedRows } = this.#described;
    if (this.#sheets.size === 0) throw new UsageError('The export has no columns, and no sheets.');
    const tables = this.#sheets.has('')
      ? { columns: this.#sheets.get('') }
      : { sheets: [...this.#sheets].map(([name, columns]) => ({ name, columns })) };
    return {
      ...this.#file,
      options,
      ...tables,
      ...(expectedRows === undefined ? {} : { expected_rows: expectedRows }),
    };
  }
}

/**
 * Columns as the API takes them.
 *
 * @param {Columns} columns
 * @returns {Column[]}
 * @throws {UsageError} for what is no column
 */
export function columnsOf(columns) {
  if (typeof columns !== 'object' || columns === null)
    throw new UsageError('Columns are a list, or an object by name.');
  const list = Array.isArray(columns) ? columns : Object.entries(inOrder(columns, 'columns')).map(namedColumn);
  return list.map((given, place) => {
    const one = typeof given === 'string' ? { name: given, type: 'string' } : given;
    if (typeof one?.name !== 'string') {
      throw new UsageError(`Column ${place + 1}: give its name, or an object with its name.`);
    }
    if (!TYPES.includes(one.type ?? 'string')) {
      throw new UsageError(
        `Column ${one.name}: ${JSON.stringify(one.type) ?? typeof one.type} is no type; there are ${TYPES.join(', ')}.`,
      );
    }
    return /** @type {Column} */ ({ ...one });
  });
}

/**
 * @param {[string, Type | Omit<Column, 'name'>]} entry
 * @returns {Column}
 */
function namedColumn([name, given]) {
  return typeof given === 'object' && given !== null ? { name, ...given } : { name, type: given };
}

/**
 * @param {Sheets} sheets
 * @returns {Array<[string, Columns]>}
 */
function sheetsOf(sheets) {
  if (Array.isArray(sheets)) return sheets.map((one) => [one?.name, one?.columns]);
  return Object.entries(inOrder(sheets, 'sheets'));
}

/**
 * @template {object} T
 * @param {T} named
 * @param {string} what
 * @returns {T}
 */
function inOrder(named, what) {
  const moved = Object.keys(named).find((name) => MOVED.test(name));
  if (moved !== undefined && Object.keys(named).length > 1) {
    throw new UsageError(
      `JavaScript moves the name "${moved}" before the others: give ${what} as a list, [{ name: … }, …].`,
    );
  }
  return named;
}
