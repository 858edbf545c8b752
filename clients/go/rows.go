package sluice

import (
	"context"
	"database/sql"
	"strings"
	"sync/atomic"
	"time"
)

// Rows are a source: it gives each row to yield, until yield says false or there is none, and returns why it ended
// early. An error that it returns is an end that no file is made of. Called again, it begins at the first row, or
// returns an error: what goes on where it stopped would lose the rows before. Where it waits for a row, it sees itself to
// the context that ends the waiting. A row is a slice of cells by place
// ([]any, []string), or a map by column name (map[string]any).
type Rows func(yield func(row any) bool) error

// Slice has all rows at once.
func Slice[T any](rows []T) Rows {
	return func(yield func(row any) bool) error {
		for _, row := range rows {
			if !yield(row) {
				break
			}
		}
		return nil
	}
}

// Channel has the rows that come over a channel, until it is closed; then ended says how: it gives nil where these are
// all rows, or why they are not, and no file is made. A second reading is refused. ctx ends the waiting for a row, and
// for how it ended; give the one of the Write.
//
// The goroutine that sends the rows puts how it ended into ended, whose buffer has room for one, before it closes rows. It
// waits for good where the reading ended early, as in a Write that failed, unless it selects on a context.
func Channel[T any](ctx context.Context, rows <-chan T, ended <-chan error) Rows {
	return once(func(yield func(row any) bool) error {
		for {
			select {
			case row, isOpen := <-rows:
				if !isOpen {
					return endOf(ctx, ended)
				}
				if !yield(row) {
					return nil
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}, "make the channel anew")
}

// endOf is how the sender of a channel's rows ended.
func endOf(ctx context.Context, ended <-chan error) error {
	if ended == nil {
		return usage("What sends rows over a channel says how it ended over another one.")
	}
	select {
	case err, isSaid := <-ended:
		if !isSaid {
			return usage("The channel of rows was closed, but what sends them did not say how it ended.")
		}
		if err == nil {
			err = ctx.Err()
		}
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// once refuses to read rows again, which would go on where the first reading ended.
func once(rows Rows, instead string) Rows {
	var isRead atomic.Bool
	return func(yield func(row any) bool) error {
		if isRead.Swap(true) {
			return usage("These rows were read before: %s.", instead)
		}
		return rows(yield)
	}
}

// What a type of a database has no zone for, and what it shows instead, by the names that drivers have for them.
var formsOfTimes = map[string]string{
	"DATE": "2006-01-02", "TIME": "15:04:05.999999999", "TIMETZ": "15:04:05.999999999Z07:00",
	"TIMESTAMP": "2006-01-02T15:04:05.999999999", "DATETIME": "2006-01-02T15:04:05.999999999",
	"DATETIME2": "2006-01-02T15:04:05.999999999", "SMALLDATETIME": "2006-01-02T15:04:05.999999999",
}

// Query has the rows of a query, one after the other, and closes it once they are read; a second reading is refused.
// Days, times and time-stamps without a zone are what the database shows, those with a zone their moments.
func Query(rows *sql.Rows) Rows {
	return once(func(yield func(row any) bool) error {
		defer rows.Close()
		names, err := rows.Columns()
		if err != nil {
			return err
		}
		types, err := rows.ColumnTypes()
		if err != nil {
			return err
		}
		cells := make([]any, len(names))
		places := make([]any, len(names))
		for place := range cells {
			places[place] = &cells[place]
		}
		for rows.Next() {
			if err := rows.Scan(places...); err != nil {
				return err
			}
			for place, cell := range cells {
				form := formsOfTimes[strings.ToUpper(types[place].DatabaseTypeName())]
				if at, isTime := cell.(time.Time); isTime && form != "" {
					cells[place] = at.Format(form)
				}
			}
			if !yield(cells) {
				return nil
			}
		}
		return rows.Err()
	}, "run the query again")
}
