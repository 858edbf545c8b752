package sluice

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"time"
)

const (
	poll = 20 * time.Second
	// How many keys are tried behind one whose exports are over.
	successorsMax = 50
	giveUpTime    = 5 * time.Second
)

// task makes the calls about one export of the service, by its id.
type task struct {
	calls    *calls
	id       string
	watchURL string // only the open says it
}

// opened is an export as the open answers.
type opened struct {
	Status
	WatchURL string
}

func (o *opened) UnmarshalJSON(text []byte) error {
	var more struct {
		WatchURL string `json:"watch_url"`
	}
	if err := json.Unmarshal(text, &o.Status); err != nil {
		return err
	}
	err := json.Unmarshal(text, &more)
	o.WatchURL = more.WatchURL
	return err
}

// openTask opens an export, or finds the first of its key that is not over.
func openTask(ctx context.Context, calls *calls, key string, body json.RawMessage) (*task, *Status, error) {
	for number := 1; number <= successorsMax; number++ {
		one := key
		if number > 1 {
			one = fmt.Sprintf("%s%d:%x", ownKeys, number, sha256.Sum256([]byte(key)))
		}
		open, err := jsonRequest("POST", "/v1/exports", body)
		if err != nil {
			return nil, nil, err
		}
		open.header["Idempotency-Key"] = one
		var answer opened
		err = calls.call(ctx, open, "", &answer)
		var failure *Error
		if errors.As(err, &failure) && failure.Code == "TASK_DELETED" {
			continue // the key of one that was deleted is not free again yet
		}
		if err != nil {
			return nil, nil, err
		}
		if answer.failure == nil {
			return &task{calls, answer.TaskID, answer.WatchURL}, &answer.Status, nil
		}
	}
	return nil, nil, usage("The key was begun anew too often; take another.")
}

// newKey is one that no other export has.
func newKey() string {
	random := make([]byte, 16)
	if _, err := rand.Read(random); err != nil {
		panic(err) // a system without chance
	}
	return hex.EncodeToString(random)
}

func (t *task) path(behind string) string { return "/v1/exports/" + url.PathEscape(t.id) + behind }

// call about this export; nil is no body.
func (t *task) call(ctx context.Context, method, behind string, body, into any) error {
	if t.id == "" {
		return usage("Find takes the id of an export, as ID gave it.")
	}
	one := request{method: method, path: t.path(behind)}
	if body != nil {
		var err error
		if one, err = jsonRequest(method, one.path, body); err != nil {
			return err
		}
	}
	return t.calls.call(ctx, one, t.id, into)
}

func (t *task) status(ctx context.Context, behind string) (*Status, error) {
	var status Status
	if err := t.call(ctx, "GET", behind, nil, &status); err != nil {
		return nil, err
	}
	return &status, nil
}

func (t *task) link(ctx context.Context) (string, error) {
	var answer struct {
		URL string `json:"url"`
	}
	err := t.call(ctx, "GET", "/file?redirect=false", nil, &answer)
	if err == nil && answer.URL == "" {
		err = unexpected(t.id, "the answer has no link")
	}
	return answer.URL, err
}

// render another file of the same rows; the answer is the id of its export.
func (t *task) render(ctx context.Context, body map[string]any) (string, error) {
	one, err := jsonRequest("POST", t.path("/render"), body)
	if err != nil {
		return "", err
	}
	one.header["Idempotency-Key"] = newKey()
	var status Status
	err = t.calls.call(ctx, one, t.id, &status)
	return status.TaskID, err
}

// wait until the file is there.
func (t *task) wait(ctx context.Context, limit time.Duration, onStatus func(*Status)) (*Status, error) {
	until := time.Now().Add(limit)
	longest := math.Min(poll.Seconds(), t.calls.settings.AnswerTimeout.Seconds()/2)
	for {
		left := time.Until(until)
		status, err := t.status(ctx, fmt.Sprintf("?wait=%.3f", math.Max(0, math.Min(longest, left.Seconds()))))
		if err != nil {
			return nil, err
		}
		onStatus(status)
		if status.State == "completed" {
			return status, nil
		}
		if status.failure != nil {
			return status, status.failure
		}
		if left <= 0 {
			detail := fmt.Sprintf("The export is %s after %v; it goes on", status.State, limit)
			return status, &Error{
				Code: "NOT_READY", Detail: detail, Retryable: true, Who: "client", TaskID: t.id, kind: ErrNotReady,
			}
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil { // a service that stops answers at once
			return nil, err
		}
	}
}

// giveUp cancels it with one try, for a sender that failed. It expires by itself; what failed before is what matters.
func (t *task) giveUp() {
	ctx, cancel := context.WithTimeout(context.Background(), giveUpTime)
	defer cancel()
	if one, err := jsonRequest("POST", t.path("/cancel"), struct{}{}); err == nil {
		_ = t.calls.answerTo(ctx, one, t.id, nil)
	}
}
