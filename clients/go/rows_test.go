package sluice

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// database answers each query with three rows, or with two and an error.
type database struct{ isBroken bool }

var errCut = errors.New("the connection was cut")

func (d database) Connect(context.Context) (driver.Conn, error) { return d, nil }
func (d database) Driver() driver.Driver                        { return nil }
func (d database) Begin() (driver.Tx, error)                    { return nil, errors.New("no transactions") }
func (d database) Close() error                                 { return nil }
func (d database) Prepare(string) (driver.Stmt, error)          { return nil, errors.New("nothing is prepared") }
func (d database) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	return &answer{isBroken: d.isBroken}, nil
}

type answer struct {
	isBroken bool
	given    int64
}

func (a *answer) Columns() []string { return []string{"id", "name"} }
func (a *answer) Close() error      { return nil }
func (a *answer) Next(cells []driver.Value) error {
	if a.given == 2 && a.isBroken {
		return errCut
	}
	if a.given == 3 {
		return io.EOF
	}
	a.given++
	cells[0], cells[1] = a.given, []byte(fmt.Sprint("row ", a.given))
	return nil
}

// timed answers with one moment in columns of many types.
type timed struct {
	database
	types []string
}

type timedAnswer struct {
	answer
	types []string
}

func (d timed) Connect(context.Context) (driver.Conn, error) { return d, nil }
func (d timed) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	return &timedAnswer{types: d.types}, nil
}
func (a *timedAnswer) Columns() []string                           { return a.types }
func (a *timedAnswer) ColumnTypeDatabaseTypeName(place int) string { return a.types[place] }
func (a *timedAnswer) Next(cells []driver.Value) error {
	if a.given++; a.given > 1 {
		return io.EOF
	}
	for place := range cells {
		cells[place] = time.Date(2026, 3, 29, 2, 30, 0, 500, time.FixedZone("", 0))
	}
	return nil
}

func TestTimesOfADatabaseAreWhatItShows(t *testing.T) {
	queried, err := sql.OpenDB(timed{types: []string{"DATE", "TIMESTAMP", "datetime", "TIME", "TIMESTAMPTZ"}}).Query("SELECT")
	must(t, err)
	json := ""
	must(t, Query(queried)(func(row any) bool {
		encoded, refused := encoderOf(false).encode(nil, row, 1)
		must(t, refused)
		json += string(encoded)
		return true
	}))
	same(t, `["2026-03-29","2026-03-29T02:30:00.0000005","2026-03-29T02:30:00.0000005","02:30:00.0000005",`+
		`"2026-03-29T02:30:00.0000005Z"]`, json)
}

func TestAMomentInAColumnOfDaysIsItsOwnDay(t *testing.T) {
	at := time.Date(2026, 3, 29, 0, 30, 0, 0, time.FixedZone("", 8*3600))
	days := &rowEncoder{[]Column{{Name: "day", Type: Date}, {Name: "at", Type: DateTime}}, "", false}
	for _, row := range []any{[]any{at, &at}, map[string]any{"day": sql.NullTime{Time: at, Valid: true}, "at": at}} {
		encoded, err := days.encode(nil, row, 1)
		must(t, err)
		if !strings.Contains(string(encoded), `"2026-03-29"`) || !strings.Contains(string(encoded), "T00:30:00+08:00") {
			t.Error(string(encoded))
		}
	}
}

func TestTheRowsOfAQueryAreReadOnceAndAnErrorOfTheirsIsNoEnd(t *testing.T) {
	read := func(isBroken bool, stopsAt int) (rows Rows, json string, err error) {
		queried, err := sql.OpenDB(database{isBroken}).Query("SELECT")
		must(t, err)
		rows = Query(queried)
		count := 0
		err = rows(func(row any) bool {
			encoded, refused := encoderOf(false).encode(nil, row, 1)
			must(t, refused)
			json += string(encoded)
			count++
			return count != stopsAt
		})
		return rows, json, err
	}
	rows, json, err := read(false, 0)
	must(t, err)
	same(t, `[1,"row 1"][2,"row 2"][3,"row 3"]`, json)
	refused(t, rows(func(any) bool { return true }), ErrUsage, "USAGE")
	_, json, err = read(true, 0)
	same(t, `[1,"row 1"][2,"row 2"]`, json)
	if !errors.Is(err, errCut) {
		t.Errorf("it ended well: %v", err)
	}
	_, json, err = read(false, 1)
	must(t, err)
	same(t, `[1,"row 1"]`, json)
}
