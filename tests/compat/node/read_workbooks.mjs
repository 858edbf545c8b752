// Reads workbooks with exceljs or SheetJS, and prints their cells as JSON.
//
// Usage: node read_workbooks.mjs exceljs|sheetjs, with a JSON list of paths as standard input.
// A cell is null, a text, a number, a boolean, {"moment": "2025-03-14T09:26:53.123"}, or
// {"serial": 1.5} where the reader knows no moment for a date.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);

const readers = { exceljs: readByExcelJs, sheetjs: readBySheetJs };

async function readByExcelJs(path) {
  const { Workbook } = require("exceljs");
  const book = new Workbook();
  await book.xlsx.readFile(path);
  return book.worksheets.map((sheet) => ({
    name: sheet.name,
    rows: grid(sheet.rowCount, sheet.columnCount, (row, column) => excelJsCell(sheet.getCell(row + 1, column + 1).value)),
  }));
}

function excelJsCell(value) {
  return value instanceof Date ? { moment: value.toISOString().replace("Z", "") } : value ?? null;
}

async function readBySheetJs(path) {
  const XLSX = require("xlsx");
  const book = XLSX.read(readFileSync(path), { cellNF: true, cellText: false });
  return book.SheetNames.map((name) => {
    const sheet = book.Sheets[name];
    const { e: end } = XLSX.utils.decode_range(sheet["!ref"]);
    const cellAt = (row, column) => sheet[XLSX.utils.encode_cell({ r: row, c: column })];
    return { name, rows: grid(end.r + 1, end.c + 1, (row, column) => sheetJsCell(XLSX.SSF, cellAt(row, column))) };
  });
}

function sheetJsCell(formats, cell) {
  if (cell === undefined || cell.t === "z") return null;
  if (cell.t !== "n" || !formats.is_date(cell.z ?? "General")) return cell.v;
  const date = formats.parse_date_code(cell.v);
  if (date === null) return { serial: cell.v };
  const time = [date.H, date.M, date.S].map((part) => pad(part, 2)).join(":");
  const day = [pad(date.y, 4), pad(date.m, 2), pad(date.d, 2)].join("-");
  return { moment: `${day}T${time}.${pad(Math.round(date.u * 1000), 3)}` };
}

function grid(rows, columns, cellAt) {
  return Array.from({ length: rows }, (_row, row) => Array.from({ length: columns }, (_cell, column) => cellAt(row, column)));
}

function pad(number, digits) {
  return String(number).padStart(digits, "0");
}

async function readOrTell(path) {
  try {
    return { sheets: await readers[process.argv[2]](path) };
  } catch (error) {
    return { error: String(error) };
  }
}

const books = [];
for (const path of JSON.parse(readFileSync(0, "utf8"))) books.push(await readOrTell(path));
process.stdout.write(JSON.stringify(books));
