// Reads CSV files with exceljs or SheetJS, decoded as browsers decode them, and prints their fields as JSON.
//
// Usage: node read_csv_files.mjs exceljs|sheetjs, with a JSON list of
// {"path": …, "encoding": …, "delimiter": …} as standard input.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Readable } from "node:stream";
import { gunzipSync } from "node:zlib";

const require = createRequire(import.meta.url);

const readers = { exceljs: readByExcelJs, sheetjs: readBySheetJs };

async function readByExcelJs(text, delimiter) {
  const { Workbook } = require("exceljs");
  const parserOptions = { delimiter, quote: '"', escape: '"', trim: false, ignoreEmpty: false };
  const sheet = await new Workbook().csv.read(Readable.from([text]), { parserOptions, map: (value) => value });
  const rows = [];
  for (let row = 1; row <= sheet.rowCount; row += 1) {
    rows.push(Array.from({ length: sheet.columnCount }, (_cell, column) => sheet.getCell(row, column + 1).value ?? ""));
  }
  return rows;
}

async function readBySheetJs(text, delimiter) {
  const XLSX = require("xlsx");
  const book = XLSX.read(text, { type: "string", raw: true, FS: delimiter });
  return XLSX.utils.sheet_to_json(book.Sheets[book.SheetNames[0]], { header: 1, raw: true, defval: "", blankrows: true });
}

function decoded(file) {
  const bytes = readFileSync(file.path);
  const plain = bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes;
  return new TextDecoder(file.encoding, { fatal: true }).decode(plain);
}

const tables = [];
for (const file of JSON.parse(readFileSync(0, "utf8"))) {
  tables.push(await readers[process.argv[2]](decoded(file), file.delimiter));
}
process.stdout.write(JSON.stringify(tables));
