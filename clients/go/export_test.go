package sluice

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// What an export does, against the service at SLUICE_URL; tests/senders/test_go.py starts one.

var always = context.Background()

func clientOf(t *testing.T, settings Settings) *Client {
	t.Helper()
	if os.Getenv("SLUICE_URL") == "" {
		t.Skip("SLUICE_URL is not set")
	}
	settings.Pause, settings.PauseMax = 10*time.Millisecond, 50*time.Millisecond
	client, err := FromEnv(settings)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func tableOf(t *testing.T, settings Settings, described Definition) *Export {
	t.Helper()
	if described.Filename == "" {
		described.Filename = "a.csv"
	}
	if described.Columns == nil && described.Sheets == nil {
		described.Columns = []Column{{Name: "a"}}
	}
	export, err := clientOf(t, settings).Export(described)
	must(t, err)
	return export
}

func numbers(count int) Rows {
	return func(yield func(any) bool) error {
		for number := 1; number <= count && yield([]any{number}); number++ {
		}
		return nil
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// linesOf a file of text, behind its header.
func linesOf(t *testing.T, export *Export) string {
	t.Helper()
	status, err := export.Wait(always, time.Minute)
	must(t, err)
	path := filepath.Join(t.TempDir(), "file")
	must(t, export.SaveTo(always, path))
	text, err := os.ReadFile(path)
	must(t, err)
	lines := strings.Fields(string(text))
	if status.Format == "csv" {
		lines = lines[1:]
	}
	return strings.Join(lines, "|")
}

func same(t *testing.T, expected, found any) {
	t.Helper()
	if fmt.Sprint(expected) != fmt.Sprint(found) {
		t.Fatalf("expected %v, found %v", expected, found)
	}
}

func TestASecondWriteOfOneTableIsRefusedAndStepsAreNot(t *testing.T) {
	orders := tableOf(t, Settings{}, Definition{})
	must(t, orders.Write(always, numbers(2)))
	refused(t, orders.Write(always, numbers(2)), ErrUsage, "USAGE")
	steps := tableOf(t, Settings{}, Definition{})
	must(t, steps.Push(always, numbers(1)))
	_, err := steps.Wait(always, 0)
	refused(t, err, ErrUsage, "USAGE")
	must(t, steps.Push(always, Slice([]map[string]any{{"a": 2}})))
	must(t, steps.Close(always))
	same(t, "1|2", linesOf(t, steps))
}

func TestSheetsAreWrittenByNameAndAMissingOneIsNamed(t *testing.T) {
	a := []Column{{Name: "a"}}
	shop := tableOf(t, Settings{}, Definition{Filename: "a.xlsx", Sheets: []Sheet{{"A", a}, {"B", a}}})
	must(t, shop.WriteSheet(always, "A", numbers(1)))
	refused(t, shop.PushSheet(always, "C", numbers(1)), ErrUsage, "USAGE")
	refused(t, shop.Push(always, numbers(1)), ErrUsage, "USAGE")
	_, err := shop.Wait(always, 0)
	if failure := refused(t, err, ErrUsage, "USAGE"); !strings.Contains(failure.Detail, "B") {
		t.Error(failure)
	}
	must(t, shop.WriteSheet(always, "B", numbers(2)))
	status, err := shop.Wait(always, time.Minute)
	must(t, err)
	same(t, 3, status.Rows)
}

func TestAWriteThatFailedWithoutAKeyIsCancelledAndMayBeRepeated(t *testing.T) {
	orders := tableOf(t, Settings{}, Definition{})
	id, err := orders.ID(always)
	must(t, err)
	failure := refused(t, orders.Write(always, Slice([][]any{{1}, {func() {}}})), ErrInvalidRow, "INVALID_VALUE")
	same(t, "2 a", fmt.Sprint(failure.Row, " ", failure.Column))
	_, err = clientOf(t, Settings{}).Find(id).Wait(always, time.Minute)
	same(t, id, refused(t, err, ErrExportFailed, "CANCELLED").TaskID)
	must(t, orders.Write(always, numbers(2)))
	same(t, "1|2", linesOf(t, orders))
}

func TestRowsThatFailedHalfWayAreTheSameBatchesAgain(t *testing.T) {
	orders := tableOf(t, Settings{BatchRows: 2}, Definition{Key: "订单 " + newKey()})
	broken := errors.New("no such table")
	source := func(yield func(any) bool) error {
		if err := numbers(7)(yield); err != nil {
			return err
		}
		return broken
	}
	if err := orders.Write(always, source); err != broken {
		t.Fatal(err)
	}
	must(t, orders.Write(always, numbers(9)))
	same(t, "1|2|3|4|5|6|7|8|9", linesOf(t, orders))
}

func TestARefusalNamesTheRowOfTheTableAndEndsTheReading(t *testing.T) {
	orders := tableOf(t, Settings{BatchRows: 2, InFlight: 2}, Definition{Columns: []Column{{Name: "a", Type: Number}}})
	read := 0
	err := orders.Write(always, func(yield func(any) bool) error {
		for read < 1000 {
			read++
			cell := any(read)
			if read == 4 {
				cell = "many"
			}
			if !yield([]any{cell}) {
				break
			}
		}
		return nil
	})
	failure := refused(t, err, ErrInvalidRow, "INVALID_VALUE")
	same(t, "4 a 2 2", fmt.Sprint(failure.Row, " ", failure.Column, " ", failure.Facts["batch"], " ",
		failure.Facts["batch_row"]))
	if read == 1000 {
		t.Error("all was read")
	}
}

// refusing the first batch, once both others are on their way; they are answered later, or end with their context.
type refusing struct {
	came    sync.WaitGroup
	later   time.Duration
	refused func()
	said    chan string
}

func (r *refusing) RoundTrip(one *http.Request) (*http.Response, error) {
	batch := one.URL.Path[len(one.URL.Path)-1:]
	if !strings.Contains(one.URL.Path, "/batches/") {
		return http.DefaultTransport.RoundTrip(one)
	}
	r.came.Done()
	r.came.Wait()
	answer := &http.Response{StatusCode: 503, Header: http.Header{}, Body: http.NoBody}
	if batch == "1" {
		answer.StatusCode, answer.Body = 409, io.NopCloser(strings.NewReader(`{"code": "BATCH_CONFLICT"}`))
		r.refused()
		return answer, nil
	}
	select {
	case <-time.After(r.later):
		r.said <- "answered"
		return answer, nil
	case <-one.Context().Done():
		r.said <- "ended"
		return nil, one.Context().Err()
	}
}

func TestWhatIsOnItsWayIsAnsweredBeforeARefusalUnlessItsContextEnds(t *testing.T) {
	for how, later := range map[string]time.Duration{"answered": 100 * time.Millisecond, "ended": time.Minute} {
		ctx, cancel := context.WithCancel(always)
		server := &refusing{later: later, said: make(chan string, 9), refused: func() {}}
		if how == "ended" {
			server.refused = func() { time.AfterFunc(50*time.Millisecond, cancel) }
		}
		server.came.Add(3)
		orders := tableOf(t, Settings{BatchRows: 1, Transport: server}, Definition{Key: "refused " + newKey()})
		refused(t, orders.Write(ctx, numbers(3)), ErrSourceChanged, "BATCH_CONFLICT")
		cancel()
		close(server.said) // nothing is on its way any more, and nothing comes again
		same(t, how+" "+how, <-server.said+" "+<-server.said)
	}
}

func TestAContextThatEndsEndsAWriteAndAWait(t *testing.T) {
	ctx, cancel := context.WithCancel(always)
	orders := tableOf(t, Settings{BatchRows: 1}, Definition{})
	id, err := orders.ID(always)
	must(t, err)
	err = orders.Write(ctx, func(yield func(any) bool) error {
		cancel()
		return numbers(5)(yield)
	})
	same(t, context.Canceled, err)
	found := clientOf(t, Settings{}).Find(id)
	status, err := found.Status(always)
	must(t, err)
	same(t, "cancelled", status.State)
	open := tableOf(t, Settings{}, Definition{})
	id, err = open.ID(always)
	must(t, err)
	ctx, cancel = context.WithTimeout(always, 50*time.Millisecond)
	defer cancel()
	_, err = clientOf(t, Settings{}).Find(id).Wait(ctx, time.Minute)
	same(t, context.DeadlineExceeded, err)
}

func TestAWriteOverASilentChannelAndAWaitBesideItEndWithTheirContexts(t *testing.T) {
	ctx, cancel := context.WithCancel(always)
	orders := tableOf(t, Settings{}, Definition{})
	rows, ended := make(chan []any), make(chan error, 1)
	done := make(chan error)
	go func() { done <- orders.Write(ctx, Channel(ctx, rows, ended)) }()
	rows <- []any{1} // it is being read
	_, err := orders.Wait(always, 0)
	refused(t, err, ErrNotReady, "NOT_READY")
	soon, cancelSoon := context.WithTimeout(always, 10*time.Millisecond)
	defer cancelSoon()
	_, err = orders.Wait(soon, time.Minute)
	same(t, context.DeadlineExceeded, err)
	same(t, context.DeadlineExceeded, orders.Push(soon, numbers(1)))
	same(t, context.DeadlineExceeded, orders.Close(soon))
	same(t, context.DeadlineExceeded, orders.Restart(soon))
	_, err = orders.RestartIfStopped(soon, 0)
	same(t, context.DeadlineExceeded, err)
	cancel()
	same(t, context.Canceled, <-done)
	rows, ended = make(chan []any), make(chan error, 1)
	close(rows)
	same(t, context.DeadlineExceeded, orders.Write(always, Channel(soon, rows, ended)))
}

func TestAChannelIsAWholeTableWhereItsSenderSaysSo(t *testing.T) {
	broken := errors.New("no such table")
	orders := tableOf(t, Settings{}, Definition{})
	write := func(say func(chan<- error)) error {
		rows, ended := make(chan []any, 2), make(chan error, 1)
		rows <- []any{1}
		rows <- []any{2}
		say(ended)
		close(rows)
		return orders.Write(always, Channel(always, rows, ended))
	}
	same(t, broken, write(func(ended chan<- error) { ended <- broken }))
	refused(t, write(func(ended chan<- error) { close(ended) }), ErrUsage, "USAGE")
	closed := make(chan []any)
	close(closed)
	refused(t, orders.Write(always, Channel(always, closed, nil)), ErrUsage, "USAGE")
	must(t, write(func(ended chan<- error) { ended <- nil }))
	same(t, "1|2", linesOf(t, orders))
}

func TestAnExportThatIsFoundTakesNumberedBatchesIsRenderedListedAndDeleted(t *testing.T) {
	id, err := tableOf(t, Settings{}, Definition{Filename: "found.csv"}).ID(always)
	must(t, err)
	client := clientOf(t, Settings{})
	found := client.Find(id)
	refused(t, found.Write(always, numbers(1)), ErrUsage, "USAGE")
	refused(t, found.Push(always, numbers(1)), ErrUsage, "USAGE")
	refused(t, found.Restart(always), ErrUsage, "USAGE")
	must(t, found.PushBatch(always, 2, Slice([][]any{{2}})))
	must(t, found.PushBatch(always, 1, Slice([][]any{{1}})))
	refused(t, found.CloseWith(always, 3, 2), ErrUsage, "BATCHES_MISSING")
	must(t, found.CloseWith(always, 2, 2))
	same(t, "1|2", linesOf(t, found))
	other, err := found.RenderAs(always, "jsonl", map[string]any{}, "other.jsonl")
	must(t, err)
	same(t, `{"a":"1"}|{"a":"2"}`, linesOf(t, other))
	names := map[string]bool{}
	must(t, client.List(always, "completed", func(one Status) bool {
		names[one.Filename] = true
		return len(names) < 50
	}))
	if !names["found.csv"] || !names["other.jsonl"] {
		t.Error(names)
	}
	refused(t, found.Cancel(always), ErrRefused, "ALREADY_COMPLETED")
	failure := refused(t, found.SaveTo(always, "/no such folder/a.csv"), ErrTransport, "NOT_WRITTEN")
	same(t, false, failure.Retryable)
	must(t, found.Delete(always))
	_, err = found.Status(always)
	refused(t, err, ErrExportFailed, "TASK_DELETED")
}

func TestTheProgressOfAnAnnouncedTableCoversTheSending(t *testing.T) {
	var seen []string
	orders := tableOf(t, Settings{InFlight: 1, Gzip: GzipOn}, Definition{
		ExpectedRows: 12_000, OnProgress: func(now Progress) {
			seen = append(seen, fmt.Sprint(now.Rows, " ", now.Percent))
		},
	})
	must(t, orders.Write(always, numbers(12_000)))
	same(t, "[5000 31.25 10000 62.5 12000 75]", seen)
	_, err := orders.Wait(always, time.Minute)
	must(t, err)
	same(t, "12000 100", seen[len(seen)-1])
}
