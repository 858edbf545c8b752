package sluice

import (
	"database/sql/driver"
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// rowEncoder makes JSON of the rows of one table. What cannot be a cell is refused before it is sent, with its row and
// column.
type rowEncoder struct {
	columns     []Column // none where only the service knows them
	sheet       string
	substitutes bool
}

// encode appends one row: a list by place, or an object by the column's name. The number of the row in its table, from
// 1, is for errors.
func (e *rowEncoder) encode(to []byte, row any, number int64) ([]byte, error) {
	if cells, isList := row.([]any); isList {
		return e.byPlace(to, len(cells), func(place int) any { return cells[place] }, number)
	}
	value := reflect.ValueOf(row)
	switch {
	case value.Kind() == reflect.Map && value.Type().Key().Kind() == reflect.String && !value.IsNil():
		return e.byName(to, value, number)
	case (value.Kind() == reflect.Slice || value.Kind() == reflect.Array) &&
		value.Type().Elem().Kind() != reflect.Uint8:
		return e.byPlace(to, value.Len(), func(place int) any { return value.Index(place).Interface() }, number)
	}
	refused := e.refused("INVALID_REQUEST",
		fmt.Sprintf("A row is a slice of cells, or a map by column name, not a %T", row), number)
	return nil, refused
}

func (e *rowEncoder) byPlace(to []byte, count int, cell func(int) any, number int64) ([]byte, error) {
	var err error
	to = append(to, '[')
	for place := 0; place < count; place++ {
		if place > 0 {
			to = append(to, ',')
		}
		kind := String
		if place < len(e.columns) {
			kind = e.columns[place].Type
		}
		if to, err = e.cell(to, kind, cell(place)); err != nil {
			name := strconv.Itoa(place + 1)
			if place < len(e.columns) {
				name = e.columns[place].Name
			}
			return nil, e.at(err, name, number)
		}
	}
	return append(to, ']'), nil
}

// byName has the names in order: the same row is the same bytes again.
func (e *rowEncoder) byName(to []byte, cells reflect.Value, number int64) ([]byte, error) {
	names := cells.MapKeys()
	sort.Slice(names, func(a, b int) bool { return names[a].String() < names[b].String() })
	var err error
	to = append(to, '{')
	for place, name := range names {
		if place > 0 {
			to = append(to, ',')
		}
		if !utf8.ValidString(name.String()) {
			return nil, e.refused("INVALID_TEXT", "A name of a cell is not UTF-8", number)
		}
		to = append(appendText(to, name.String()), ':')
		if to, err = e.cell(to, e.typeOf(name.String()), cells.MapIndex(name).Interface()); err != nil {
			return nil, e.at(err, name.String(), number)
		}
	}
	return append(to, '}'), nil
}

func (e *rowEncoder) typeOf(name string) Type {
	for _, column := range e.columns {
		if column.Name == name {
			return column.Type
		}
	}
	return String
}

func (e *rowEncoder) cell(to []byte, kind Type, cell any) ([]byte, error) {
	switch value := cell.(type) {
	case nil:
		return append(to, "null"...), nil
	case string:
		return e.text(to, value)
	case []byte:
		return e.text(to, string(value))
	case time.Time:
		if kind == Date { // the day that the program sees: with its offset it could be the day before
			return e.text(to, value.Format("2006-01-02"))
		}
		if _, offset := value.Zone(); offset%60 != 0 { // of long ago: ISO 8601 has no seconds in an offset
			value = value.UTC()
		}
		return e.text(to, value.Format(time.RFC3339Nano))
	case json.Number:
		return e.decimal(to, value)
	}
	value := reflect.ValueOf(cell)
	if value.Kind() == reflect.Pointer && value.IsNil() {
		return append(to, "null"...), nil
	}
	switch one := cell.(type) {
	case *big.Int:
		return one.Append(to, 10), nil
	case driver.Valuer:
		inner, err := one.Value()
		if err != nil || reflect.TypeOf(inner) == value.Type() {
			return nil, &Error{Code: "INVALID_VALUE", Detail: fmt.Sprintf("A cell of type %T has no value", cell)}
		}
		return e.cell(to, kind, inner)
	case encoding.TextMarshaler:
		text, err := one.MarshalText()
		if err != nil {
			return nil, &Error{Code: "INVALID_VALUE", Detail: fmt.Sprintf("A cell of type %T has no text", cell)}
		}
		return e.text(to, string(text))
	}
	return e.ofKind(to, kind, value)
}

// ofKind appends cells of types that are made of others, and of pointers to them.
func (e *rowEncoder) ofKind(to []byte, kind Type, value reflect.Value) ([]byte, error) {
	switch value.Kind() {
	case reflect.Bool:
		return strconv.AppendBool(to, value.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.AppendInt(to, value.Int(), 10), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.AppendUint(to, value.Uint(), 10), nil
	case reflect.Float32:
		return e.float(to, value.Float(), 32)
	case reflect.Float64:
		return e.float(to, value.Float(), 64)
	case reflect.String:
		return e.text(to, value.String())
	case reflect.Pointer:
		return e.cell(to, kind, value.Elem().Interface())
	}
	return nil, &Error{Code: "INVALID_VALUE", Detail: fmt.Sprintf("A cell cannot hold a %v", value.Type())}
}

func (e *rowEncoder) float(to []byte, number float64, bits int) ([]byte, error) {
	if math.IsNaN(number) || math.IsInf(number, 0) {
		return nil, &Error{Code: "INVALID_VALUE", Detail: fmt.Sprintf("A cell cannot hold the number %v", number)}
	}
	form := byte('f')
	if size := math.Abs(number); size != 0 && (size < 1e-6 || size >= 1e21) {
		form = 'e'
	}
	return strconv.AppendFloat(to, number, form, -1, bits), nil
}

// decimal appends a number that is written already, as a driver or JSON has it.
func (e *rowEncoder) decimal(to []byte, number json.Number) ([]byte, error) {
	if !json.Valid([]byte(number)) || strings.ContainsAny(string(number), "\"{[tfn") {
		return nil, &Error{Code: "INVALID_VALUE", Detail: "A json.Number is no number"}
	}
	return append(to, number...), nil
}

func (e *rowEncoder) text(to []byte, text string) ([]byte, error) {
	if !utf8.ValidString(text) {
		if !e.substitutes {
			return nil, &Error{Code: "INVALID_TEXT", Detail: "The text is not UTF-8; convert it, or set Substitute"}
		}
		text = strings.ToValidUTF8(text, "\ufffd")
	}
	return appendText(to, text), nil
}

func (e *rowEncoder) at(err error, column string, number int64) error {
	failure := err.(*Error)
	refused := e.refused(failure.Code, failure.Detail, number)
	refused.Column = column
	return refused
}

func (e *rowEncoder) refused(code, detail string, number int64) *Error {
	refused := &Error{Code: code, Detail: detail, Who: "client", Row: number, kind: ErrInvalidRow,
		Facts: map[string]any{}}
	if e.sheet != "" {
		refused.Facts["sheet"] = e.sheet
	}
	return refused
}

// appendText appends a text in quotes.
func appendText(to []byte, text string) []byte {
	const digits = "0123456789abcdef"
	to = append(to, '"')
	from := 0
	for place := 0; place < len(text); place++ {
		one := text[place]
		if one >= 0x20 && one != '"' && one != '\\' {
			continue
		}
		to = append(to, text[from:place]...)
		from = place + 1
		switch one {
		case '"', '\\':
			to = append(to, '\\', one)
		case '\n':
			to = append(to, `\n`...)
		case '\r':
			to = append(to, `\r`...)
		case '\t':
			to = append(to, `\t`...)
		default:
			to = append(to, '\\', 'u', '0', '0', digits[one>>4], digits[one&15])
		}
	}
	return append(append(to, text[from:]...), '"')
}
