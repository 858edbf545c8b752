package sluice

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
)

const (
	// Batches have the first size up to this number, then twice it, three times: 10,000 batches hold any table.
	batchesOfOneSize = 2000
	// Smaller ones hardly become shorter.
	packedBytesMin = 1024
)

// What the service says of the place; the place in the table is said behind.
var placeInBatch = regexp.MustCompile(`^Row [0-9]+ \(batch [0-9]+\)(?:, column "[^"]*")?: `)

// sender sends the rows of one export in numbered batches, some at a time, and counts them.
type sender struct {
	calls      *calls
	task       *task
	batches    int64
	retries    atomic.Int64
	isNumbered atomic.Bool // the numbers of batches are the caller's

	mu   sync.Mutex
	rows map[string]int64 // that were sent, by sheet
}

// stored is an acknowledgement, with the bytes of its rows.
type stored struct {
	Rows     int64 `json:"rows"`
	Replayed bool  `json:"replayed"`
	bytes    int64
}

// sending is about rows of one sheet.
type sending struct {
	encoder *rowEncoder
	sheet   string
	onBatch func(stored)
}

// rowsOf says how many rows of a sheet were sent, and whether it was written at all.
func (s *sender) rowsOf(sheet string) (int64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	count, isWritten := s.rows[sheet]
	return count, isWritten
}

func (s *sender) setRows(sheet string, count int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows[sheet] = count
}

// send cuts rows into batches, numbered behind those before, and returns once all are stored. After an error nothing is
// on its way any more, and the same rows are the same batches again.
func (s *sender) send(ctx context.Context, rows Rows, how sending) error {
	before := s.batches
	inner, cancel := context.WithCancel(ctx)
	tries, stopTries := context.WithCancel(inner)
	sent, _ := s.rowsOf(how.sheet)
	cut := &cutter{sender: s, how: how, ctx: inner, tries: tries, outer: ctx, sent: sent, done: make(chan result)}
	isDone := false
	defer func() { // also where the source or a callback panics
		stopTries()
		if !cut.isRefused {
			cancel()
		}
		cut.join()
		cancel()
		if !isDone {
			s.batches = before
		}
	}()
	failure := rows(cut.add)
	err := cut.err
	if err == nil {
		err = failure
	}
	if err == nil {
		err = cut.finish()
	}
	if err == nil {
		s.setRows(how.sheet, cut.sent)
		isDone = true
	}
	return err
}

// sendNumbered sends rows as the one batch of this number.
func (s *sender) sendNumbered(ctx context.Context, rows Rows, how sending, sequence int64) error {
	s.isNumbered.Store(true)
	json := []byte{'['}
	var count int64
	var refused error
	err := rows(func(row any) bool {
		count++
		if count > 1 {
			json = append(json, ',')
		}
		json, refused = how.encoder.encode(json, row, count)
		return refused == nil
	})
	if refused != nil {
		return refused
	}
	if err != nil {
		return err
	}
	before, _ := s.rowsOf(how.sheet)
	s.setRows(how.sheet, before+count)
	one, err := s.put(ctx, ctx, sequence, append(json, ']'), 0, how.sheet)
	if err == nil {
		how.onBatch(one)
	}
	return err
}

// put sends a batch. The end of ctx ends its request, that of tries lets it begin no other one.
func (s *sender) put(ctx, tries context.Context, sequence int64, json []byte, rowsBefore int64,
	sheet string) (stored, error) {
	settings := &s.calls.settings
	one := request{"PUT", s.task.path("/batches/" + strconv.FormatInt(sequence, 10)), map[string]string{}, json}
	if sheet != "" {
		one.path += "?sheet=" + url.QueryEscape(sheet)
	}
	if (settings.Gzip == GzipOn || settings.Gzip == GzipAuto && !s.calls.isLocal) && len(json) >= packedBytesMin {
		one.body = packed(json)
		one.header["Content-Encoding"] = "gzip"
	}
	one.header["Content-Type"] = "application/json"
	one.header["X-Content-SHA256"] = fmt.Sprintf("%x", sha256.Sum256(one.body))
	answer := stored{bytes: int64(len(json))}
	err := s.calls.repeat(tries, func() error { return s.calls.answerTo(ctx, one, s.task.id, &answer) }, nil,
		func() { s.retries.Add(1) })
	var failure *Error
	if errors.As(err, &failure) && failure.Status > 0 {
		placed := *failure
		placed.Facts = map[string]any{}
		for name, value := range failure.Facts {
			placed.Facts[name] = value
		}
		if sheet != "" {
			placed.Facts["sheet"] = sheet
		}
		if failure.Row > 0 {
			placed.Row += rowsBefore
			placed.Facts["batch_row"] = failure.Row
			placed.Facts["row"] = placed.Row
		}
		placed.Facts["batch"] = sequence
		placed.Detail = placeInBatch.ReplaceAllString(failure.Detail, "")
		return answer, &placed
	}
	return answer, err
}

func packed(json []byte) []byte {
	var into bytes.Buffer
	writer, _ := gzip.NewWriterLevel(&into, gzip.BestSpeed)
	_, _ = writer.Write(json) // memory takes everything
	_ = writer.Close()
	return into.Bytes()
}

type result struct {
	stored stored
	err    error
}

// cutter cuts rows into batches and has some of them on their way. What is acknowledged is reported where rows are
// added.
type cutter struct {
	sender     *sender
	how        sending
	ctx, outer context.Context
	tries      context.Context // ends where nothing is tried again
	json       []byte
	count      int
	sent       int64
	running    int
	done       chan result
	err        error // why no more rows are taken
	isRefused  bool  // by the service
}

// add takes a row; false where no more are wanted.
func (c *cutter) add(row any) bool {
	if c.err != nil {
		return false
	}
	before := byte(',')
	if c.count == 0 {
		before = '['
	}
	c.json = append(c.json, before)
	json, err := c.how.encoder.encode(c.json, row, c.sent+int64(c.count)+1)
	if err != nil {
		c.err = err
		return false
	}
	c.json = json
	c.count++
	factor := 1 << min(int(c.sender.batches/batchesOfOneSize), 3)
	settings := &c.sender.calls.settings
	if len(c.json) >= settings.BatchBytes*min(factor, 4) || c.count >= settings.BatchRows*factor {
		c.err = c.put()
	}
	return c.err == nil
}

// put starts a batch, and returns once another one may be started.
func (c *cutter) put() error {
	c.sender.batches++
	sequence, before, sheet := c.sender.batches, c.sent, c.how.sheet
	json := append(c.json, ']')
	c.sent += int64(c.count)
	c.json, c.count = make([]byte, 0, len(json)+len(json)/8), 0
	c.running++
	go func() {
		one, err := c.sender.put(c.ctx, c.tries, sequence, json, before, sheet)
		c.done <- result{one, err}
	}()
	for {
		select {
		case one := <-c.done:
			if err := c.report(one); err != nil {
				return err
			}
			continue
		default:
		}
		if c.running < c.sender.calls.settings.InFlight {
			return c.outer.Err()
		}
		if err := c.report(<-c.done); err != nil {
			return err
		}
	}
}

// finish sends what is left, and waits until all is stored.
func (c *cutter) finish() error {
	if c.count > 0 {
		if err := c.put(); err != nil {
			return err
		}
	}
	for c.running > 0 {
		if err := c.report(<-c.done); err != nil {
			return err
		}
	}
	return c.outer.Err()
}

func (c *cutter) report(one result) error {
	c.running--
	if one.err == nil {
		c.how.onBatch(one.stored)
	}
	c.isRefused = isRefusal(one.err)
	return one.err
}

// join waits for what is on its way: its context has ended, or it is answered behind a refusal, since RestartIfStopped
// would take it for another run's.
func (c *cutter) join() {
	for ; c.running > 0; c.running-- {
		<-c.done
	}
}

func min(a, b int) int {
	if a < b {
		return a
	}
	return b
}
