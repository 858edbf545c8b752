package sluice

import (
	"context"
	"math"
	"time"
)

// Nothing waits longer than this because the service asked for it.
const askedMax = 30 * time.Second

// retry counts the tries of one call: whether there is another, and after how long.
type retry struct {
	settings *Settings
	clock    func() time.Time
	random   func() float64
	began    time.Time
	tried    int
}

func newRetry(settings *Settings, clock func() time.Time, random func() float64) *retry {
	return &retry{settings: settings, clock: clock, random: random, began: clock()}
}

// moved begins tries and pauses anew.
func (r *retry) moved() {
	r.tried = 0
	r.began = r.clock()
}

// pause until the next try; false where there is none. The service asked for a pause; wasReached says whether the
// server answered at any time before.
func (r *retry) pause(asked time.Duration, wasReached bool) (time.Duration, bool) {
	r.tried++
	if r.tried >= r.settings.Tries {
		return 0, false
	}
	bound := float64(r.settings.Pause) * math.Pow(2, math.Min(float64(r.tried-1), 30))
	bound = math.Min(bound, float64(r.settings.PauseMax))
	if asked > askedMax {
		asked = askedMax
	}
	pause := asked + time.Duration(bound*(0.5+r.random()/2))
	isTooLate := !wasReached && r.clock().Add(pause).Sub(r.began) > r.settings.FirstContact
	return pause, !isTooLate
}

func sleep(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
