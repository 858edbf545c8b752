// The sender of the conformance suite (tests/senders): does one job, given as JSON on standard input, and says on
// standard output, in a line of JSON each, how far it is and how it ended.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	sluice "sluice.example/client"
)

type job struct {
	URL            string             `json:"url"`
	Key            string             `json:"key"`
	Settings       map[string]float64 `json:"settings"`
	Filename       string             `json:"filename"`
	Options        map[string]any     `json:"options"`
	IdempotencyKey string             `json:"idempotency_key"`
	Columns        columns            `json:"columns"`
	Rows           int64              `json:"rows"`
	Sheets         sheets             `json:"sheets"`
	OddRow         int64              `json:"odd_row"`
	OddCell        int                `json:"odd_cell"`
	OddValue       any                `json:"odd_value"`
	Restart        any                `json:"restart"`
	LookS          *float64           `json:"look_s"`
	FailsAt        int64              `json:"fails_at"`
	Source         string             `json:"source"`
	Again          int                `json:"again"`
	Twice          bool               `json:"twice"`
	Notice         string             `json:"notice"`
	Headers        map[string]string  `json:"headers"`
	Secrets        []string           `json:"secrets"`
	TaskID         string             `json:"task_id"`
	WaitS          *float64           `json:"wait_s"`
	SaveTo         string             `json:"save_to"`
}

// columns by name with their types in order, or names alone.
type columns []sluice.Column

func (c *columns) UnmarshalJSON(text []byte) error {
	var names []string
	if json.Unmarshal(text, &names) == nil {
		for _, name := range names {
			*c = append(*c, sluice.Column{Name: name})
		}
		return nil
	}
	return eachMember(text, func(name string, value json.RawMessage) error {
		column := sluice.Column{Name: name}
		*c = append(*c, column)
		return json.Unmarshal(value, &(*c)[len(*c)-1].Type)
	})
}

type sheet struct {
	Columns columns `json:"columns"`
	Rows    int64   `json:"rows"`
	name    string
}

type sheets []sheet

func (s *sheets) UnmarshalJSON(text []byte) error {
	return eachMember(text, func(name string, value json.RawMessage) error {
		one := sheet{name: name}
		err := json.Unmarshal(value, &one)
		*s = append(*s, one)
		return err
	})
}

// eachMember of an object, in order.
func eachMember(text []byte, each func(string, json.RawMessage) error) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if _, err := decoder.Token(); err != nil {
		return err
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return err
		}
		if err := each(name.(string), value); err != nil {
			return err
		}
	}
	return nil
}

func say(what map[string]any) {
	line, err := json.Marshal(what)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}

// row of the table that every sender sends; the suite knows it too.
func (j *job) row(number int64) []any {
	cells := []any{
		number, fmt.Sprintf("客户 %d 😀, \"quoted\"\n=1+1", number), number%2 == 0, float64(number) / 4,
		fmt.Sprintf("2025031400000%07d", number),
	}
	if number%7 == 0 {
		cells[3] = nil
	}
	if number == j.OddRow {
		cells[j.OddCell] = j.OddValue
		if own, isOwn := ownValues[j.OddValue]; isOwn {
			cells[j.OddCell] = own
		}
	}
	return cells
}

var ownValues = map[any]any{
	"broken text":          "broken \xff text",
	"a moment of long ago": time.Date(1900, 12, 31, 0, 0, 0, 0, time.FixedZone("", 8*3600+5*60+43)),
}

// errSource is what a source of rows returns, as a database whose server has gone.
var errSource = errors.New("the database went away")

func (j *job) rows(count int64) sluice.Rows {
	return func(yield func(any) bool) error {
		for number := int64(1); number <= count; number++ {
			if number == j.FailsAt {
				return errSource
			}
			if !yield(j.row(number)) {
				break
			}
		}
		return nil
	}
}

// once are the rows over a channel, which goes on where its reader stopped.
func (j *job) once(ctx context.Context, count int64) sluice.Rows {
	rows, ended := make(chan []any), make(chan error, 1)
	go func() {
		defer close(rows)
		ended <- j.rows(count)(func(row any) bool {
			rows <- row.([]any)
			return true
		})
	}()
	return sluice.Channel(ctx, rows, ended)
}

func (j *job) client() (*sluice.Client, error) {
	seconds := func(name string) time.Duration { return time.Duration(j.Settings[name] * float64(time.Second)) }
	return sluice.New(j.URL, j.Key, sluice.Settings{
		Tries: int(j.Settings["tries"]), Pause: seconds("pause"), PauseMax: seconds("pause_max"),
		FirstContact: seconds("first_contact"),
	})
}

func (j *job) definition(last *sluice.Progress) sluice.Definition {
	described := sluice.Definition{
		Filename: j.Filename, Columns: j.Columns, Options: j.Options, Key: j.IdempotencyKey,
		OnProgress: func(progress sluice.Progress) {
			*last = progress
			say(map[string]any{"event": "progress", "rows": progress.Rows, "state": progress.State})
		},
	}
	for _, one := range j.Sheets {
		described.Sheets = append(described.Sheets, sluice.Sheet{Name: one.name, Columns: one.Columns})
	}
	return described
}

// sent as by a program that tries again with the rows that it has.
func (j *job) sent(ctx context.Context, client *sluice.Client, last *sluice.Progress) (*sluice.Export, error) {
	rows := j.rows(j.Rows)
	if j.Source == "once" {
		rows = j.once(ctx, j.Rows)
	}
	for left := j.Again; ; left-- {
		orders, err := client.Export(j.definition(last))
		if err != nil {
			return nil, err
		}
		err = j.restarted(ctx, orders)
		if err == nil && j.Columns != nil {
			err = orders.Write(ctx, rows)
		}
		if err == nil && j.Twice {
			j.Twice = false
			left++ // that was no error
			continue
		}
		var failure *sluice.Error
		if err == nil || left == 0 || !errors.As(err, &failure) {
			return orders, err
		}
		say(map[string]any{"event": "progress", "rows": 0, "state": failure.Code})
	}
}

func (j *job) restarted(ctx context.Context, orders *sluice.Export) error {
	switch j.Restart {
	case "stopped":
		look := 5.0
		if j.LookS != nil {
			look = *j.LookS
		}
		_, err := orders.RestartIfStopped(ctx, time.Duration(look*float64(time.Second)))
		return err
	case true:
		return orders.Restart(ctx)
	}
	return nil
}

func (j *job) verified() (map[string]any, error) {
	header := http.Header{}
	for name, value := range j.Headers {
		header.Set(name, value)
	}
	return sluice.VerifyWebhook([]byte(j.Notice), header, j.Secrets...)
}

func (j *job) run(ctx context.Context) error {
	if j.Notice != "" {
		notice, err := j.verified()
		if err == nil {
			say(map[string]any{"event": "done", "notice": notice})
		}
		return err
	}
	client, err := j.client()
	if err != nil {
		return err
	}
	var last sluice.Progress
	orders := client.Find(j.TaskID)
	if j.TaskID == "" {
		if orders, err = j.sent(ctx, client, &last); err != nil {
			return err
		}
	}
	for _, one := range j.Sheets {
		if err := orders.WriteSheet(ctx, one.name, j.rows(one.Rows)); err != nil {
			return err
		}
	}
	wait := 120.0
	if j.WaitS != nil {
		wait = *j.WaitS
	}
	status, err := orders.Wait(ctx, time.Duration(wait*float64(time.Second)))
	if err != nil {
		return err
	}
	if j.SaveTo != "" {
		if err := orders.SaveTo(ctx, j.SaveTo); err != nil {
			return err
		}
	}
	watch, err := orders.WatchURL(ctx)
	if err == nil {
		say(map[string]any{
			"event": "done", "task_id": status.TaskID, "rows": status.Rows, "warnings": status.Warnings, "watch_url": watch,
			"sent": last.Rows, "replayed": last.Replayed, "batches": last.Batches, "retries": last.Retries,
		})
	}
	return err
}

var kinds = map[error]string{
	sluice.ErrInvalidRow: "InvalidRow", sluice.ErrSourceChanged: "SourceChanged", sluice.ErrBusy: "Busy",
	sluice.ErrAuth: "Auth", sluice.ErrExportFailed: "ExportFailed", sluice.ErrNotReady: "NotReady",
	sluice.ErrTransport: "Transport", sluice.ErrUsage: "Usage", sluice.ErrRefused: "Refused",
}

func main() {
	var one job
	if err := json.NewDecoder(os.Stdin).Decode(&one); err != nil {
		panic(err)
	}
	err := one.run(context.Background())
	if errors.Is(err, errSource) {
		say(map[string]any{"event": "failed", "code": "SOURCE", "retryable": false, "message": err.Error()})
		return
	}
	var failure *sluice.Error
	if err != nil && !errors.As(err, &failure) {
		panic(err)
	}
	if err == nil {
		return
	}
	said := map[string]any{
		"event": "failed", "code": failure.Code, "row": failure.Row, "column": failure.Column, "status": failure.Status,
		"retryable": failure.Retryable, "task_id": failure.TaskID, "request_id": failure.RequestID, "message": failure.Error(),
	}
	for kind, name := range kinds {
		if errors.Is(err, kind) {
			said["kind"] = name + "Exception" // the suite has the names of PHP
		}
	}
	say(said)
}
