package sluice

import (
	"encoding/json"
	"path"
	"regexp"
	"sort"
	"strings"
	"unicode/utf8"
)

// Type of a column's cells.
type Type string

// What a column's cells may be.
const (
	String   Type = "string"
	Number   Type = "number"
	Date     Type = "date"
	DateTime Type = "datetime"
	Boolean  Type = "boolean"
)

// Column of a table. Type is String where it is empty. Format is one of spreadsheets, such as #,##0.00; of booleans
// their words, such as yes/no. Width is in characters.
type Column struct {
	Name   string `json:"name"`
	Type   Type   `json:"type"`
	Format string `json:"format,omitempty"`
	Width  int    `json:"width,omitempty"`
}

// Sheet is one of several tables of a workbook.
type Sheet struct {
	Name    string   `json:"name"`
	Columns []Column `json:"columns"`
}

// Definition says what an export is.
type Definition struct {
	// Filename of the file. What it ends with is the format: .xlsx, .csv, .jsonl, .ndjson or .parquet.
	Filename string
	// Format in place of the ending's: xlsx, csv, jsonl or parquet.
	Format string
	// Columns of the one table,
	Columns []Column
	// Sheets in their place: several tables.
	Sheets []Sheet
	// Options of the file (docs/files.md).
	Options map[string]any
	// Key that your program knows again after a crash: the same key goes on with the same export. Printable text without
	// blanks at its ends.
	Key string
	// ExpectedRows: how many rows will come, so that the percentage covers the sending; checked at the close.
	ExpectedRows int64
	// OnProgress is called after each acknowledged batch, and while waiting; on the goroutine that sends or waits.
	OnProgress func(Progress)
}

const ownKeys = "sluice:"

var (
	formats = map[string]string{
		".xlsx": "xlsx", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet",
	}
	keyForm  = regexp.MustCompile(`^[^\x00-\x1f\x7f]+$`)
	allTypes = map[Type]bool{String: true, Number: true, Date: true, DateTime: true, Boolean: true}
)

// checked has the format of its name and the type of each column, in copies of what may change.
func (d Definition) checked() (Definition, error) {
	if d.Format == "" {
		d.Format = formats[strings.ToLower(path.Ext(d.Filename))]
		if d.Format == "" {
			return d, usage("The name %q says no format; it ends with .xlsx, .csv, .jsonl, .ndjson or .parquet, "+
				"or Format says it.", d.Filename)
		}
	}
	if d.Key != "" && !(keyForm.MatchString(d.Key) && utf8.ValidString(d.Key)) {
		return d, usage("A key is printable text.")
	}
	if strings.TrimSpace(d.Key) != d.Key {
		return d, usage("A key has no blanks at its ends: HTTP takes them away, and two keys would be one.")
	}
	if strings.HasPrefix(d.Key, ownKeys) {
		return d, usage("No key begins with '%s': the client makes such keys.", ownKeys)
	}
	if d.ExpectedRows < 0 {
		return d, usage("ExpectedRows is a number of rows.")
	}
	if len(d.Columns) > 0 == (len(d.Sheets) > 0) {
		return d, usage("An export has Columns, or Sheets: one of both.")
	}
	if d.OnProgress == nil {
		d.OnProgress = func(Progress) {}
	}
	var err error
	if d.Columns, err = typed(d.Columns); err != nil {
		return d, err
	}
	sheets := make([]Sheet, len(d.Sheets))
	names := map[string]bool{"": true}
	for place, sheet := range d.Sheets {
		if names[sheet.Name] {
			return d, usage("A sheet has a name of its own.")
		}
		names[sheet.Name] = true
		sheets[place].Name = sheet.Name
		if sheets[place].Columns, err = typed(sheet.Columns); err != nil {
			return d, err
		}
	}
	d.Sheets = sheets
	return d, nil
}

func typed(columns []Column) ([]Column, error) {
	all := make([]Column, len(columns))
	for place, column := range columns {
		if column.Type == "" {
			column.Type = String
		}
		if !allTypes[column.Type] {
			return nil, usage("Column %s: %q is no type; there are string, number, date, datetime, boolean.",
				column.Name, column.Type)
		}
		all[place] = column
	}
	return all, nil
}

// body as the open takes it.
func (d *Definition) body() (json.RawMessage, error) {
	members := map[string]any{"filename": d.Filename, "format": d.Format, "options": d.Options}
	if d.Options == nil {
		members["options"] = map[string]any{}
	}
	if d.ExpectedRows > 0 {
		members["expected_rows"] = d.ExpectedRows
	}
	if len(d.Sheets) > 0 {
		members["sheets"] = d.Sheets
	} else {
		members["columns"] = d.Columns
	}
	encoded, err := json.Marshal(members)
	if err != nil {
		return nil, usage("The options are no JSON: %v.", err)
	}
	return encoded, nil
}

// encoder of the rows of one table. Where nothing was declared, only the service knows the columns.
func (d *Definition) encoder(sheet string, substitutes bool) (*rowEncoder, error) {
	if len(d.Sheets) == 0 && (sheet == "" || len(d.Columns) == 0) {
		return &rowEncoder{d.Columns, sheet, substitutes}, nil
	}
	var names []string
	for _, one := range d.Sheets {
		if one.Name == sheet {
			return &rowEncoder{one.Columns, sheet, substitutes}, nil
		}
		names = append(names, one.Name)
	}
	if len(names) == 0 {
		return nil, usage("There is no sheet %q here; there is one table.", sheet)
	}
	sort.Strings(names)
	return nil, usage("There is no sheet %q here; declared are: %s.", sheet, strings.Join(names, ", "))
}
