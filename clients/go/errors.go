package sluice

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// What an error asks of its caller: errors.Is(err, sluice.ErrBusy).
var (
	ErrInvalidRow    = errors.New("mend the data at the row and column that the error has")
	ErrSourceChanged = errors.New("other rows were sent under this key before, or other totals than came: RestartIfStopped")
	ErrBusy          = errors.New("later, after RetryAfter: a queue, a quota, a rate or a disk is full")
	ErrAuth          = errors.New("the key is missing, unknown, or may not do this")
	ErrExportFailed  = errors.New("there will be no file: it failed, was cancelled, was deleted or has expired")
	ErrNotReady      = errors.New("waiting ran out; the export goes on")
	ErrTransport     = errors.New("no answer, a page of a proxy, or a file that cannot be written")
	ErrUsage         = errors.New("mend the program")
	ErrRefused       = errors.New("refused for another reason, which the code names")
)

// Error is what every call of this package fails with, except for the errors of a context and of the caller's rows.
//
// Its text has the code, the place and the request id, and never the API key, a link or a cell's value.
type Error struct {
	// Code is one of the service (docs/errors.md), UNREACHABLE, UNEXPECTED_ANSWER, NOT_WRITTEN or USAGE.
	Code string
	// Detail is what happened, without the place.
	Detail string
	// Status of HTTP; 0 where there was no answer, and for an export that failed.
	Status int
	// Retryable says whether the same call may succeed later.
	Retryable bool
	// RetryAfter is how long the service asks to wait before the next try.
	RetryAfter time.Duration
	// Who must act: client, platform or operator; empty where the answer does not say.
	Who string
	// RequestID is in the service's log, too.
	RequestID string
	TaskID    string
	// Row of the whole table (of its sheet), counted from 1; 0 where it is no matter of a row.
	Row int64
	// Column by its name; empty where it is no matter of a column.
	Column string
	// Facts are what else is known of the place.
	Facts map[string]any

	kind  error
	cause error
}

func (e *Error) Error() string {
	var places []string
	if e.Row > 0 {
		places = append(places, "row "+strconv.FormatInt(e.Row, 10))
	}
	if e.Column != "" {
		places = append(places, "column "+e.Column)
	}
	for _, name := range []string{"sheet", "batch"} {
		switch value := e.Facts[name].(type) {
		case string, float64, int64:
			places = append(places, fmt.Sprint(name, " ", value))
		}
	}
	if e.TaskID != "" {
		places = append(places, "export "+e.TaskID)
	}
	if e.RequestID != "" {
		places = append(places, "request "+e.RequestID)
	}
	if len(places) == 0 {
		return e.Code + ": " + e.Detail
	}
	return e.Code + ": " + e.Detail + " (" + strings.Join(places, ", ") + ")"
}

// Is one of the kinds of this package.
func (e *Error) Is(kind error) bool { return kind == e.kind }

// Unwrap gives what the system or the network said.
func (e *Error) Unwrap() error { return e.cause }

func usage(format string, values ...any) *Error {
	return &Error{Code: "USAGE", Detail: fmt.Sprintf(format, values...), Who: "client", kind: ErrUsage}
}

func unexpected(taskID, detail string) *Error {
	return &Error{Code: "UNEXPECTED_ANSWER", Detail: detail, TaskID: taskID, kind: ErrTransport}
}

func notWritten(what string, err error) *Error {
	var detail = err
	if unwrapped := errors.Unwrap(err); unwrapped != nil {
		detail = unwrapped // without the temporary name
	}
	return &Error{
		Code: "NOT_WRITTEN", Detail: fmt.Sprintf("%s cannot be written: %v", what, detail), Who: "client",
		kind: ErrTransport, cause: err,
	}
}

// unreachable is the error of a request without an answer.
func unreachable(server, taskID string, err error) *Error {
	var ours *Error
	if errors.As(err, &ours) {
		return ours
	}
	var of *url.Error
	if errors.As(err, &of) {
		err = of.Err // without the address, which may be a link
	}
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	// Certificates that are not trusted, which no other try changes.
	isFinal := errors.As(err, &authority) || errors.As(err, &host) || errors.As(err, &invalid)
	return &Error{
		Code: "UNREACHABLE", Detail: fmt.Sprintf("%s cannot be reached: %v", server, err), Retryable: !isFinal,
		TaskID: taskID, kind: ErrTransport, cause: err,
	}
}

var kinds = map[error]string{
	ErrInvalidRow:    "ROW_WIDTH_MISMATCH INVALID_VALUE INVALID_TEXT CELL_TOO_LONG",
	ErrSourceChanged: "BATCH_CONFLICT BATCHES_EXTRA TOTALS_MISMATCH ALREADY_CLOSED TASK_CLOSED",
	ErrBusy:          "STORE_UNAVAILABLE STORAGE_FULL QUEUE_FULL QUOTA_EXCEEDED RATE_LIMITED SENDER_TOO_SLOW",
	ErrAuth:          "UNAUTHENTICATED PERMISSION_DENIED",
	ErrNotReady:      "NOT_READY",
	ErrExportFailed: "CANCELLED EXPIRED TASK_DELETED CHUNK_MISSING CHUNK_CORRUPT ROW_COUNT_MISMATCH RESULT_VERIFY_FAILED " +
		"RESULT_TOO_LARGE RESULT_MISSING RESULT_DAMAGED TASK_DAMAGED ATTEMPTS_EXHAUSTED FAILED",
	ErrUsage: "INVALID_REQUEST UNSUPPORTED_FORMAT UNSUPPORTED_ENCODING TOO_MANY_BATCHES TOO_MANY_ROWS TOO_MANY_COLUMNS " +
		"BATCH_TOO_LARGE SEQ_OUT_OF_RANGE BATCHES_MISSING IDEMPOTENCY_KEY_REUSED",
}

// kindOf says what the error of a code of the service asks for.
func kindOf(code string, row int64) error {
	if code == "INVALID_REQUEST" && row > 0 {
		return ErrInvalidRow // a row that is none: a name or a cell too many
	}
	for kind, codes := range kinds {
		for _, one := range strings.Fields(codes) {
			if one == code {
				return kind
			}
		}
	}
	return ErrRefused
}

var transient = map[int]bool{408: true, 425: true, 429: true, 502: true, 503: true, 504: true}

// isTransient says whether the same request, made again in a moment, may succeed by itself.
func (e *Error) isTransient() bool {
	return transient[e.Status] || e.Retryable && (e.Status >= 500 || e.Code == "UNREACHABLE")
}

// isRefusal says whether the service itself has answered this, and not a network or a proxy on the way to it.
func isRefusal(err error) bool {
	var failure *Error
	return errors.As(err, &failure) && failure.Status > 0 && failure.kind != ErrTransport
}

var (
	codeForm      = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)
	requestIDForm = regexp.MustCompile(`^[!-~]{1,128}$`)
	secondsForm   = regexp.MustCompile(`^[0-9]{1,6}$`)
)

// problemOf is the error of an answer; nil for a success.
func problemOf(status int, header http.Header, body []byte, server, taskID string) *Error {
	if status >= 200 && status < 300 {
		return nil
	}
	var facts map[string]any
	code := ""
	if json.Unmarshal(body, &facts) == nil {
		code, _ = facts["code"].(string)
	}
	if !codeForm.MatchString(code) {
		return unexpectedAnswer(status, header, server, taskID)
	}
	e := &Error{Code: code, Status: status, RetryAfter: retryAfter(header), TaskID: taskID}
	if e.Detail, _ = facts["detail"].(string); e.Detail == "" {
		e.Detail, _ = facts["title"].(string)
	}
	e.Retryable, _ = facts["retryable"].(bool)
	e.Who, _ = facts["who"].(string)
	e.RequestID, _ = facts["request_id"].(string)
	e.Column, _ = facts["column"].(string)
	if row, isNumber := facts["row"].(float64); isNumber {
		e.Row = int64(row)
	}
	for _, name := range []string{"type", "title", "status", "detail", "code", "who", "retryable", "request_id"} {
		delete(facts, name)
	}
	e.Facts = facts
	e.kind = kindOf(code, e.Row)
	return e
}

func unexpectedAnswer(status int, header http.Header, server, taskID string) *Error {
	detail := fmt.Sprintf("%s answered %d, not as a Sluice service does", server, status)
	if status == 413 {
		detail += "; a gateway before it takes no request of that size (nginx: client_max_body_size; Function Compute: 32 MB)"
	} else if status < 400 {
		detail += "; it points elsewhere, where the API key is not sent: use the address that it points to"
	}
	e := unexpected(taskID, detail)
	e.Status, e.Retryable, e.RetryAfter = status, transient[status], retryAfter(header)
	if id := header.Get("X-Request-Id"); requestIDForm.MatchString(id) {
		e.RequestID = id
	}
	return e
}

func retryAfter(header http.Header) time.Duration {
	text := header.Get("Retry-After")
	if !secondsForm.MatchString(text) {
		return 0 // a date there is not used
	}
	seconds, _ := strconv.Atoi(text)
	return time.Duration(seconds) * time.Second
}
