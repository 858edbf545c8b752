package sluice

import (
	"context"
	"errors"
	"time"
)

// How long RestartIfStopped waits between two looks at what another run may be sending.
const lookPause = 500 * time.Millisecond

// What a cancel answers for an export that is over without a file.
var overCodes = map[string]bool{"EXPIRED": true, "TASK_CLOSED": true, "TASK_DELETED": true}

// RestartIfStopped is for a source that has changed since a run that stopped half-way: it gives up what that one has
// sent, begins anew, and says so; all rows are to be written again. An export that failed, was cancelled or has expired
// meanwhile is begun anew, too. One that another run has closed stays, with its file: false. So does one that another
// run still sends, whose batches grow while this looks on for the time of limit (five seconds will do): ErrNotReady.
func (e *Export) RestartIfStopped(ctx context.Context, limit time.Duration) (bool, error) {
	if err := e.turn.take(ctx); err != nil {
		return false, err
	}
	defer e.turn.give()
	if err := e.refuseFound("RestartIfStopped"); err != nil {
		return false, err
	}
	task, err := e.opened(ctx)
	if err != nil {
		return false, err
	}
	if isStopped, err := e.hasStopped(ctx, task, limit); err != nil || !isStopped {
		return false, err
	}
	err = e.begin(ctx)
	return err == nil, err
}

// Restart gives up what was sent under the key, whoever sent it, and begins anew: it ends the export of this key where
// it runs, and deletes it where it is finished; later runs under the key go on with the new one. RestartIfStopped
// deletes no file.
func (e *Export) Restart(ctx context.Context) error {
	if err := e.turn.take(ctx); err != nil {
		return err
	}
	defer e.turn.give()
	if err := e.refuseFound("Restart"); err != nil {
		return err
	}
	task, err := e.opened(ctx)
	if err != nil {
		return err
	}
	status, err := task.status(ctx, "")
	if err != nil {
		return err
	}
	e.set(func() { e.status = status })
	if !status.isOpen() || status.Batches > 0 {
		if err := task.call(ctx, "DELETE", "", nil, nil); err != nil {
			return err
		}
		e.set(func() { e.task = nil })
	}
	return e.begin(ctx)
}

// hasStopped says whether there is no file of the export, and no run that sends it. One that was left half-way is
// cancelled, never deleted: that of a run which has finished it meanwhile refuses to be.
func (e *Export) hasStopped(ctx context.Context, task *task, limit time.Duration) (bool, error) {
	seen, err := lookOn(ctx, task, limit)
	if err == nil {
		e.set(func() { e.status = seen })
		if seen.isOpen() && seen.Batches == 0 {
			return true, nil
		}
		if !seen.isOpen() && seen.failure == nil {
			return false, nil
		}
		if seen.isOpen() {
			err = task.call(ctx, "POST", "/cancel", struct{}{}, nil)
		}
	}
	var failure *Error
	if errors.As(err, &failure) && failure.Code == "ALREADY_COMPLETED" {
		if seen, err = task.status(ctx, ""); err == nil {
			e.set(func() { e.status = seen })
		}
		return false, err
	}
	if err != nil && (failure == nil || !overCodes[failure.Code]) {
		return false, err
	}
	e.set(func() { e.task = nil })
	return true, nil
}

// lookOn is the status once nothing was added to an open export for so long.
func lookOn(ctx context.Context, task *task, limit time.Duration) (*Status, error) {
	until := time.Now().Add(limit)
	pause := lookPause
	if limit/4 < pause {
		pause = limit / 4
	}
	seen, err := task.status(ctx, "")
	for err == nil && seen.isOpen() && seen.Batches > 0 && time.Now().Before(until) {
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
		var now *Status
		if now, err = task.status(ctx, ""); err != nil {
			break
		}
		if now.isOpen() && now.Batches != seen.Batches {
			return nil, &Error{
				Code: "NOT_READY", Detail: "Another run is sending under this key", Retryable: true, Who: "client",
				TaskID: task.id, kind: ErrNotReady,
			}
		}
		seen = now
	}
	return seen, err
}

// begin with no rows sent, in the export that is open under the key now.
func (e *Export) begin(ctx context.Context) error {
	if _, err := e.opened(ctx); err != nil {
		return err
	}
	e.isClosedHere = false
	e.set(func() { e.sender, e.progress = nil, Progress{State: "open"} })
	return nil
}
