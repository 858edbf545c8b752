package sluice

import (
	"context"
	"strings"
	"sync"
	"time"
)

// Export: rows go in, a file comes out. Made by Client.Export and Client.Find.
//
// Rows are sent in numbered batches, some at a time; a batch that is acknowledged is stored. Every call may be
// repeated: under the same key the same export is opened, and what the service has is acknowledged again. Calls that
// open, send and close take turns where several goroutines make them.
type Export struct {
	calls      *calls
	definition Definition
	isFound    bool

	turn         turn // of those that open, send and close
	key          string
	isClosedHere bool

	mu       sync.Mutex // of what all others read, too
	task     *task
	status   *Status
	sender   *sender // of the export that is open; made with its first rows
	progress Progress
}

// Write opens the export, sends the rows, and closes it with the totals counted.
//
// What an earlier run under the same key has closed is not sent again. Without a key of yours, an export that fails
// here is cancelled.
func (e *Export) Write(ctx context.Context, rows Rows) error { return e.WriteSheet(ctx, "", rows) }

// WriteSheet does that for one of several sheets; it closes once all are written.
func (e *Export) WriteSheet(ctx context.Context, sheet string, rows Rows) error {
	if err := e.turn.take(ctx); err != nil {
		return err
	}
	defer e.turn.give()
	if err := e.refuseFound("Write"); err != nil {
		return err
	}
	if e.isClosedHere {
		return usage("Write has closed this export: of one table it takes all rows at once. In steps: Push, Push, Close.")
	}
	task, err := e.opened(ctx)
	if err != nil || !e.known().isOpen() {
		return err
	}
	isDone := false
	defer func() {
		if !isDone && e.definition.Key == "" { // another Write begins anew
			task.giveUp()
			e.key = ""
			e.set(func() { e.task, e.sender = nil, nil })
		}
	}()
	if err := e.send(ctx, task, sheet, rows); err != nil {
		return err
	}
	if len(e.unwritten(task)) == 0 {
		if err := e.close(ctx, task, nil); err != nil {
			return err
		}
	}
	isDone = true
	return nil
}

// Open the export, or find the one of its key. One that has ended without a file, or was deleted, is over: then the key
// begins a new one.
func (e *Export) Open(ctx context.Context) error {
	_, err := e.ready(ctx)
	return err
}

// Push sends rows in batches that are numbered in the order of the calls, and returns once the service has stored them.
func (e *Export) Push(ctx context.Context, rows Rows) error { return e.PushSheet(ctx, "", rows) }

// PushSheet does that for one of several sheets.
func (e *Export) PushSheet(ctx context.Context, sheet string, rows Rows) error {
	if err := e.turn.take(ctx); err != nil {
		return err
	}
	defer e.turn.give()
	if err := e.refuseFound("Push"); err != nil {
		return err
	}
	task, err := e.opened(ctx)
	if err != nil {
		return err
	}
	return e.send(ctx, task, sheet, rows)
}

// PushBatch sends rows as the one batch of this number, from 1: for jobs that run beside each other and know their
// place.
func (e *Export) PushBatch(ctx context.Context, sequence int64, rows Rows) error {
	return e.PushSheetBatch(ctx, "", sequence, rows)
}

// PushSheetBatch does that for one of several sheets.
func (e *Export) PushSheetBatch(ctx context.Context, sheet string, sequence int64, rows Rows) error {
	task, err := e.ready(ctx)
	if err != nil {
		return err
	}
	how, err := e.how(task, sheet)
	if err != nil {
		return err
	}
	return e.sending(task).sendNumbered(ctx, rows, how, sequence)
}

// Close fixes the rows and has the file written. The totals that were counted here are checked, unless you numbered
// batches.
func (e *Export) Close(ctx context.Context) error {
	return e.closeInTurn(ctx, nil)
}

// CloseWith has totals of yours, which are checked.
func (e *Export) CloseWith(ctx context.Context, batches, rows int64) error {
	return e.closeInTurn(ctx, map[string]any{"batches": batches, "rows": rows})
}

// Wait until the file is there. ErrNotReady: the time is over, and the export goes on. ErrExportFailed: there will be
// no file.
func (e *Export) Wait(ctx context.Context, limit time.Duration) (*Status, error) {
	key, err := e.keyWithin(ctx, limit)
	if err != nil {
		return nil, err
	}
	if !e.isFound && key == "" {
		return nil, usage("Nothing was written that could be waited for.")
	}
	task, err := e.ready(ctx)
	if err != nil {
		return nil, err
	}
	if !e.isFound && e.known().isOpen() && !e.sending(task).isNumbered.Load() {
		if missing := e.unwritten(task); len(missing) > 0 {
			return nil, usage("Nothing closes this export: not written are %s.", strings.Join(missing, ", "))
		}
		return nil, usage("Nothing closes this export: Close is missing.")
	}
	return task.wait(ctx, limit, func(status *Status) {
		e.report(func(progress *Progress) {
			e.status = status
			progress.State, progress.Percent = status.State, status.Percent
		})
	})
}

// Status as it is now.
func (e *Export) Status(ctx context.Context) (*Status, error) {
	task, err := e.ready(ctx)
	if err != nil {
		return nil, err
	}
	status, err := task.status(ctx, "")
	if err == nil {
		e.set(func() { e.status = status })
	}
	return status, err
}

// ID by which any process finds this export again.
func (e *Export) ID(ctx context.Context) (string, error) {
	task, err := e.ready(ctx)
	if err != nil {
		return "", err
	}
	return task.id, nil
}

// URL is a link to the file that works without the API key for a while. It is made anew at each call: hand it out, do
// not keep it. ErrNotReady while there is no file.
func (e *Export) URL(ctx context.Context) (string, error) {
	task, err := e.ready(ctx)
	if err != nil {
		return "", err
	}
	return task.link(ctx)
}

// WatchURL is an address at which a browser sees this export, follows its events and fetches its file, without the API
// key. Empty where the service offers none, and for an export that was found by its id.
func (e *Export) WatchURL(ctx context.Context) (string, error) {
	task, err := e.ready(ctx)
	if err != nil {
		return "", err
	}
	return task.watchURL, nil
}

// SaveTo saves the file: whole and with the checksum that the service recorded, or not at all. What is cut goes on.
func (e *Export) SaveTo(ctx context.Context, path string) error {
	status, err := e.Status(ctx)
	if err != nil {
		return err
	}
	task, err := e.ready(ctx)
	if err != nil {
		return err
	}
	return (&download{task: task, sha256: status.SHA256}).saveTo(ctx, path)
}

// RenderAs makes another file of the same rows. Options are in place of all of this export, or nil; filename may be
// empty.
func (e *Export) RenderAs(
	ctx context.Context, format string, options map[string]any, filename string,
) (*Export, error) {
	task, err := e.ready(ctx)
	if err != nil {
		return nil, err
	}
	body := map[string]any{"format": format}
	if options != nil {
		body["options"] = options
	}
	if filename != "" {
		body["filename"] = filename
	}
	id, err := task.render(ctx, body)
	if err != nil {
		return nil, err
	}
	return (&Client{e.calls}).Find(id), nil
}

// Cancel an export that is running. Where the file is there, nothing is deleted: the code is ALREADY_COMPLETED.
func (e *Export) Cancel(ctx context.Context) error {
	task, err := e.ready(ctx)
	if err != nil {
		return err
	}
	return task.call(ctx, "POST", "/cancel", struct{}{}, nil)
}

// Delete an export that has ended, its file and its rows; cancels one that is running.
func (e *Export) Delete(ctx context.Context) error {
	task, err := e.ready(ctx)
	if err != nil {
		return err
	}
	return task.call(ctx, "DELETE", "", nil, nil)
}
