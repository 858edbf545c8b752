package sluice

import (
	"encoding/json"
	"strings"
	"time"
)

// Status of an export as it was when the service answered.
type Status struct {
	TaskID string `json:"task_id"`
	// State is open, sealed, composing; completed, failed, cancelled or expired.
	State    string `json:"state"`
	Filename string `json:"filename"`
	Format   string `json:"format"`
	// Rows that the service has stored.
	Rows int64 `json:"rows_received"`
	// RowsWritten are in the file, or in what there is of it.
	RowsWritten int64 `json:"rows_written"`
	Batches     int64 `json:"batches"`
	// Percent of the way to the file; where rows were announced, sending them is 75 of it.
	Percent float64 `json:"progress_percent"`
	// SecondsLeft until the file is there; nil where the service cannot say.
	SecondsLeft *float64 `json:"eta_seconds"`
	// Bytes of the file; 0 while there is none.
	Bytes  int64  `json:"file_size_bytes"`
	SHA256 string `json:"checksum_sha256"`
	// Warnings are what the writer had to count, by kind.
	Warnings  map[string]int64 `json:"-"`
	ExpiresAt time.Time        `json:"expires_at"`

	failure *Error
}

// UnmarshalJSON reads an answer of the service.
func (s *Status) UnmarshalJSON(text []byte) error {
	type plain Status
	var wire struct {
		plain
		Warnings []struct {
			Kind  string `json:"kind"`
			Count int64  `json:"count"`
		} `json:"warnings"`
		Error struct {
			Code      string `json:"code"`
			Message   string `json:"message"`
			Who       string `json:"who"`
			Retryable bool   `json:"retryable"`
		} `json:"error"`
	}
	if err := json.Unmarshal(text, &wire); err != nil {
		return err
	}
	*s = Status(wire.plain)
	if s.TaskID == "" || s.State == "" {
		return unexpected("", "the answer is no status of an export")
	}
	s.Warnings = map[string]int64{}
	for _, one := range wire.Warnings {
		s.Warnings[one.Kind] = one.Count
	}
	if s.State == "failed" || s.State == "cancelled" || s.State == "expired" {
		s.failure = &Error{
			Code: wire.Error.Code, Detail: wire.Error.Message, Who: wire.Error.Who, Retryable: wire.Error.Retryable,
			TaskID: s.TaskID, kind: ErrExportFailed,
		}
		if s.failure.Code == "" {
			s.failure.Code = strings.ToUpper(s.State)
		}
		if s.failure.Detail == "" {
			s.failure.Detail = "The export is " + s.State
		}
	}
	return nil
}

func (s *Status) isOpen() bool { return s.State == "open" }

// Progress is how far an export is: while rows are sent, and while the file is written.
type Progress struct {
	// Rows that the service has acknowledged to this process.
	Rows    int64
	Batches int64
	// Replayed batches are those that the service had already, of an earlier run.
	Replayed int64
	// Bytes of rows, before they were packed.
	Bytes   int64
	Retries int64
	// State is open while rows are sent, then sealed, composing and how it ended.
	State string
	// Percent of the way to the file; where rows were announced, sending them is 75 of it.
	Percent float64
}
