package sluice

import (
	"database/sql"
	"sync/atomic"
)

// Rows are a source: it gives each row to yield, until yield says false or there is none, and returns why it ended
// early. An error that it returns is an end that no file is made of. Called again, it begins at the first row, or
// returns an error: what goes on where it stopped would lose the rows before. A row is a slice of cells by place
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

// Channel has the rows that come over a channel, until it is closed; a second reading is refused. The goroutine that
// sends them waits for good where the reading ended early, as in a Write that failed, unless it selects on a context.
func Channel[T any](rows <-chan T) Rows {
	return once(func(yield func(row any) bool) error {
		for row := range rows {
			if !yield(row) {
				break
			}
		}
		return nil
	}, "make the channel anew")
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

// Query has the rows of a query, one after the other, and closes it once they are read; a second reading is refused.
func Query(rows *sql.Rows) Rows {
	return once(func(yield func(row any) bool) error {
		defer rows.Close()
		names, err := rows.Columns()
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
			if !yield(cells) {
				return nil
			}
		}
		return rows.Err()
	}, "run the query again")
}
