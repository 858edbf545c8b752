package sluice

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"net/url"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
)

const (
	version        = "1.0.0"
	answerBytesMax = 64 << 20
)

var printable = regexp.MustCompile(`^[!-~]*$`)

// calls of the HTTP API, repeated while that can help; every call made here may be repeated.
type calls struct {
	server     string
	address    *url.URL
	key        string
	settings   Settings
	isLocal    bool // the service is on this machine
	http       *http.Client
	wasReached atomic.Bool
}

// request may be made again and again.
type request struct {
	method, path string
	header       map[string]string
	body         []byte
}

func newCalls(server, key string, settings Settings) (*calls, error) {
	const example = "The address of the service is one such as https://exports.example.com"
	address, err := url.Parse(server)
	if err != nil || !printable.MatchString(server) || address.Hostname() == "" ||
		address.Scheme != "http" && address.Scheme != "https" {
		return nil, usage("%s.", example) // what was given may be the key, in the wrong place
	}
	if address.User != nil || address.RawQuery != "" || address.Fragment != "" {
		return nil, usage("The address of the service has no user, no query and no fragment; the API key is given by itself.")
	}
	if !printable.MatchString(key) {
		return nil, usage("The API key has a character that no key has: a line break at its end, or \"Bearer\" before it?")
	}
	filled, err := settings.filled()
	if err != nil {
		return nil, err
	}
	host := address.Hostname()
	return &calls{
		server: strings.TrimRight(server, "/"), address: address, key: key, settings: filled,
		isLocal: host == "localhost" || host == "127.0.0.1" || host == "::1",
		http: &http.Client{
			Transport: filled.Transport,
			// A redirect is an answer: the key goes to this server alone.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

func jsonRequest(method, path string, body any) (request, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return request{}, usage("What describes the export is no JSON: %v.", err)
	}
	return request{method, path, map[string]string{"Content-Type": "application/json"}, encoded}, nil
}

// call until it succeeds, and decode the answer into what is given.
func (c *calls) call(ctx context.Context, one request, taskID string, into any) error {
	return c.repeat(ctx, func() error { return c.answerTo(ctx, one, taskID, into) }, nil, nil)
}

// answerTo tries a request of the API once.
func (c *calls) answerTo(ctx context.Context, one request, taskID string, into any) error {
	var body io.Reader
	if one.body != nil {
		body = bytes.NewReader(one.body)
	}
	made, err := http.NewRequest(one.method, c.server+one.path, body)
	if err != nil {
		return usage("The address of the service and the id of an export make no address.")
	}
	made.Header.Set("Accept", "application/json")
	made.Header.Set("User-Agent", "sluice-go/"+version+" "+runtime.Version())
	for name, value := range one.header {
		made.Header.Set(name, value)
	}
	if c.key != "" {
		made.Header.Set("Authorization", "Bearer "+c.key)
	}
	return c.exchange(ctx, made, taskID, func(answer *http.Response, bytes io.Reader) error {
		text, err := io.ReadAll(io.LimitReader(bytes, answerBytesMax+1))
		if err != nil {
			return err
		}
		if len(text) > answerBytesMax {
			return unexpected(taskID, "the answer is longer than any of a Sluice service")
		}
		if problem := problemOf(answer.StatusCode, answer.Header, text, c.server, taskID); problem != nil {
			return problem
		}
		var object map[string]json.RawMessage
		if len(text) > 0 && (json.Unmarshal(text, &object) != nil || object == nil) {
			return unexpected(taskID, c.server+" answers, but not as a Sluice service does")
		}
		var kind *json.UnmarshalTypeError
		if into == nil || len(text) == 0 {
			return nil
		} else if err := json.Unmarshal(text, into); errors.As(err, &kind) {
			return unexpected(taskID, "the answer's "+kind.Field+" is not what a Sluice service answers there")
		} else if err != nil {
			return unexpected(taskID, "the answer is not what a Sluice service answers there")
		}
		return nil
	})
}

// exchange with any server. It ends when no byte of the answer comes for the time of AnswerTimeout.
func (c *calls) exchange(ctx context.Context, made *http.Request, taskID string,
	read func(answer *http.Response, bytes io.Reader) error) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	var isOver atomic.Bool
	timer := time.AfterFunc(c.settings.AnswerTimeout, func() {
		isOver.Store(true)
		cancel()
	})
	defer timer.Stop()
	answer, err := c.http.Do(made.WithContext(inner))
	if err == nil {
		defer answer.Body.Close()
		c.wasReached.Store(true)
		timer.Reset(c.settings.AnswerTimeout)
		err = read(answer, &movingReader{answer.Body, func() { timer.Reset(c.settings.AnswerTimeout) }})
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case isOver.Load():
		return unreachable(c.server, taskID, fmt.Errorf("no answer within %v", c.settings.AnswerTimeout))
	default:
		return unreachable(c.server, taskID, err)
	}
}

// movingReader says when something came.
type movingReader struct {
	from  io.Reader
	moved func()
}

func (r *movingReader) Read(into []byte) (int, error) {
	count, err := r.from.Read(into)
	if count > 0 {
		r.moved()
	}
	return count, err
}

// repeat does something until it does not fail for a moment, or the tries are over. Tries begin anew where reached
// gives another value than before.
func (c *calls) repeat(ctx context.Context, action func() error, reached func() int64, onPause func()) error {
	retry := newRetry(&c.settings, time.Now, rand.Float64)
	var before int64
	for {
		err := action()
		var failure *Error
		if err == nil || !errors.As(err, &failure) {
			return err
		}
		if reached != nil && reached() != before {
			before = reached()
			retry.moved()
		}
		if !failure.isTransient() {
			return err
		}
		pause, isMore := retry.pause(failure.RetryAfter, c.wasReached.Load())
		if !isMore {
			return err
		}
		c.settings.OnRetry(failure, pause)
		if onPause != nil {
			onPause()
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}
