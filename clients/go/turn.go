package sluice

import (
	"context"
	"time"
)

// turn is had by one call at a time; the waiting for it ends with a context.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	default:
	}
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t turn) give() { <-t }

// keyWithin is the key once no other goroutine opens, sends or closes any more.
func (e *Export) keyWithin(ctx context.Context, limit time.Duration) (string, error) {
	inner, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := e.turn.take(inner); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", &Error{
			Code: "NOT_READY", Detail: "Another call of this export is still sending", Retryable: true, Who: "client",
			kind: ErrNotReady,
		}
	}
	defer e.turn.give()
	return e.key, nil
}
