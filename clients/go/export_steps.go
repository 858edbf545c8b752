package sluice

import (
	"context"
	"math"
)

// ready is the export of the service; a call that opens it waits for its turn.
func (e *Export) ready(ctx context.Context) (*task, error) {
	if one := e.current(); one != nil {
		return one, nil
	}
	if err := e.turn.take(ctx); err != nil {
		return nil, err
	}
	defer e.turn.give()
	return e.opened(ctx)
}

// opened does that for a call whose turn it is.
func (e *Export) opened(ctx context.Context) (*task, error) {
	if one := e.current(); one != nil {
		return one, nil
	}
	body, err := e.definition.body()
	if err != nil {
		return nil, err
	}
	if e.key == "" {
		e.key = newKey()
	}
	one, status, err := openTask(ctx, e.calls, e.key, body)
	if err != nil {
		return nil, err
	}
	e.set(func() { e.task, e.status = one, status })
	return one, nil
}

func (e *Export) send(ctx context.Context, task *task, sheet string, rows Rows) error {
	how, err := e.how(task, sheet)
	if err != nil {
		return err
	}
	return e.sending(task).send(ctx, rows, how)
}

func (e *Export) closeInTurn(ctx context.Context, totals map[string]any) error {
	if err := e.turn.take(ctx); err != nil {
		return err
	}
	defer e.turn.give()
	task, err := e.opened(ctx)
	if err != nil {
		return err
	}
	return e.close(ctx, task, totals)
}

func (e *Export) close(ctx context.Context, task *task, totals map[string]any) error {
	counted := e.sending(task)
	if totals == nil && !counted.isNumbered.Load() && !e.isFound {
		if !e.known().isOpen() {
			return nil
		}
		totals = e.counted(counted)
	}
	if totals == nil {
		totals = map[string]any{}
	}
	var status Status
	if err := task.call(ctx, "POST", "/close", totals, &status); err != nil {
		return err
	}
	e.set(func() { e.status = &status })
	e.isClosedHere = true
	return nil
}

// counted totals of what was sent here.
func (e *Export) counted(by *sender) map[string]any {
	all, _ := by.rowsOf("")
	sheets := map[string]int64{}
	for _, sheet := range e.definition.Sheets {
		count, _ := by.rowsOf(sheet.Name)
		sheets[sheet.Name] = count
		all += count
	}
	totals := map[string]any{"batches": by.batches, "rows": all}
	if len(sheets) > 0 {
		totals["sheets"] = sheets
	}
	return totals
}

func (e *Export) how(task *task, sheet string) (sending, error) {
	encoder, err := e.definition.encoder(sheet, e.calls.settings.Substitute)
	from := e.sending(task)
	return sending{encoder, sheet, func(one stored) {
		e.report(func(progress *Progress) {
			progress.Rows += one.Rows
			progress.Batches++
			progress.Bytes += one.bytes
			progress.Retries = from.retries.Load()
			if one.Replayed {
				progress.Replayed++
			}
			if expected := e.definition.ExpectedRows; expected > 0 {
				progress.Percent = math.Min(75, 75*float64(progress.Rows)/float64(expected))
			}
		})
	}}, err
}

func (e *Export) sending(task *task) *sender {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.sender == nil {
		e.sender = &sender{calls: e.calls, task: task, rows: map[string]int64{}}
	}
	return e.sender
}

// unwritten are the declared sheets that were not written here yet.
func (e *Export) unwritten(task *task) []string {
	var names []string
	for _, sheet := range e.definition.Sheets {
		if _, isWritten := e.sending(task).rowsOf(sheet.Name); !isWritten {
			names = append(names, sheet.Name)
		}
	}
	return names
}

func (e *Export) report(change func(*Progress)) {
	e.mu.Lock()
	change(&e.progress)
	progress := e.progress
	e.mu.Unlock()
	e.definition.OnProgress(progress)
}

func (e *Export) current() *task {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.task
}

func (e *Export) known() *Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.status
}

func (e *Export) set(change func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change()
}

func (e *Export) refuseFound(what string) error {
	if e.isFound {
		return usage("%s is for exports that are described here; "+
			"one that was found by its id takes PushBatch and CloseWith.", what)
	}
	return nil
}
