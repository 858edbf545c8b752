package sluice

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"log"
	"math"
	"math/big"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
)

type kindOfText string

type record struct{ Value string }

type marshaled struct{ text string }

func (m marshaled) MarshalText() ([]byte, error) { return []byte(m.text), nil }

func encoderOf(substitutes bool) *rowEncoder {
	return &rowEncoder{[]Column{{Name: "id"}, {Name: "name"}}, "", substitutes}
}

func TestARowIsJSON(t *testing.T) {
	text, none := "x", (*string)(nil)
	moment := time.Date(2026, 11, 30, 8, 0, 0, 5e8, time.FixedZone("", 8*3600))
	for _, one := range []struct {
		row  any
		json string
	}{
		{[]any{1, "a", nil, true}, `[1,"a",null,true]`},
		{[]any{}, `[]`},
		{[]string{"王伟 😀", ""}, `["王伟 😀",""]`},
		{[2]int{1, 2}, `[1,2]`},
		{map[string]any{"name": "x", "id": 7}, `{"id":7,"name":"x"}`},
		{map[string]any{}, `{}`},
		{[]any{0.1, -0.5, 3.0, 1e300, float32(0.1), 1e-7}, `[0.1,-0.5,3,1e+300,0.1,1e-07]`},
		{[]any{int64(math.MinInt64), uint64(math.MaxUint64),
			uint8(7)}, `[-9223372036854775808,18446744073709551615,7]`},
		{[]any{json.Number("20250314000000000123"), new(big.Int).Exp(big.NewInt(10), big.NewInt(20), nil)},
			`[20250314000000000123,100000000000000000000]`},
		{[]any{"a\"\\\n\x01\u2028/<é&"}, "[\"a\\\"\\\\\\n\\u0001\u2028/<é&\"]"},
		{[]any{moment, moment.UTC()}, `["2026-11-30T08:00:00.5+08:00","2026-11-30T00:00:00.5Z"]`},
		{[]any{[]byte("bytes"), kindOfText("named"), &text, none, marshaled{"m"}}, `["bytes","named","x",null,"m"]`},
		{[]any{sql.NullString{}, sql.NullInt64{Int64: 5, Valid: true}}, `[null,5]`},
	} {
		found, err := encoderOf(false).encode(nil, one.row, 1)
		if err != nil || string(found) != one.json || !json.Valid(found) {
			t.Errorf("%v is %s (%v), not %s", one.row, found, err, one.json)
		}
	}
	if found, _ := encoderOf(true).encode(nil, []any{"a\xffb😀"}, 1); string(found) != "[\"a\ufffdb😀\"]" {
		t.Errorf("substituted: %s", found)
	}
}

func TestWhatIsNoCellIsRefusedByRowAndColumn(t *testing.T) {
	for _, one := range []struct {
		row          any
		code, column string
	}{
		{[]any{1, "a\xffb"}, "INVALID_TEXT", "name"},
		{[]any{1, []byte("\xff")}, "INVALID_TEXT", "name"},
		{map[string]any{"at": "\xff"}, "INVALID_TEXT", "at"},
		{[]any{math.NaN()}, "INVALID_VALUE", "id"},
		{[]any{1, 2, math.Inf(1)}, "INVALID_VALUE", "3"},
		{[]any{record{"secret"}}, "INVALID_VALUE", "id"},
		{[]any{[]string{"secret"}}, "INVALID_VALUE", "id"},
		{[]any{func() {}}, "INVALID_VALUE", "id"},
		{[]any{json.Number("secret")}, "INVALID_VALUE", "id"},
		{[]any{json.Number("true")}, "INVALID_VALUE", "id"},
		{map[string]any{"\xff": 1}, "INVALID_TEXT", ""},
		{map[int]any{1: "secret"}, "INVALID_REQUEST", ""},
		{[]byte("secret"), "INVALID_REQUEST", ""},
		{"secret", "INVALID_REQUEST", ""},
		{nil, "INVALID_REQUEST", ""},
	} {
		_, err := encoderOf(false).encode(nil, one.row, 5)
		failure := refused(t, err, ErrInvalidRow, one.code)
		if failure.Row != 5 || failure.Column != one.column || failure.Who != "client" || failure.Retryable {
			t.Errorf("%v: %+v", one.row, failure)
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("it has the value: %v", err)
		}
	}
}

func TestWhatIsWrongInItselfIsRefusedBeforeAnythingIsSent(t *testing.T) {
	for _, address := range []string{
		"exports.example.com", "ftp://e", "https://me:secret@e", "https://e?secret", "https://e f", "https://", "slc_secret",
	} {
		_, err := New(address, "", Settings{})
		if failure := refused(t, err, ErrUsage, "USAGE"); strings.Contains(failure.Error(), "secret") {
			t.Errorf("it has the key: %v", err)
		}
	}
	_, err := New("https://e", "slc\r\nX: 1", Settings{})
	refused(t, err, ErrUsage, "USAGE")
	_, err = New("https://e", "", Settings{Tries: -1})
	refused(t, err, ErrUsage, "USAGE")
	client, _ := New("https://e", "", Settings{})
	a := []Column{{Name: "a"}}
	for _, one := range []Definition{
		{Filename: "orders", Columns: a},
		{Filename: "a.csv"},
		{Filename: "a.csv", Columns: []Column{{Name: "a", Type: "int"}}},
		{Filename: "a.csv", Columns: a, Key: "a\nb"},
		{Filename: "a.csv", Columns: a, Key: "a\xff"},
		{Filename: "a.csv", Columns: a, Key: "sluice:2:x"},
		{Filename: "a.csv", Columns: a, ExpectedRows: -1},
		{Filename: "a.xlsx", Columns: a, Sheets: []Sheet{{"A", a}}},
		{Filename: "a.xlsx", Sheets: []Sheet{{"A", a}, {"A", a}}},
		{Filename: "a.xlsx", Sheets: []Sheet{{"", a}}},
	} {
		_, err := client.Export(one)
		refused(t, err, ErrUsage, "USAGE")
	}
	ctx := context.Background()
	refused(t, client.Find("").Cancel(ctx), ErrUsage, "USAGE")
	orders, err := client.Export(Definition{Filename: "a.csv", Columns: a, Options: map[string]any{"style": func() {}}})
	if err != nil {
		t.Fatal(err)
	}
	refused(t, orders.Open(ctx), ErrUsage, "USAGE")
	_, err = orders.Wait(ctx, 0)
	refused(t, err, ErrUsage, "USAGE")
}

func TestClientsShareTheirConnections(t *testing.T) {
	one, err := Settings{}.filled()
	must(t, err)
	other, err := Settings{Tries: 2}.filled()
	must(t, err)
	patient, err := Settings{ConnectTimeout: time.Hour}.filled()
	must(t, err)
	if one.Transport != other.Transport || one.Transport == patient.Transport {
		t.Error("a client of its own has connections of its own, or waits as another does")
	}
}

func TestPausesDoubleHalfOfEachIsChanceAndTheServiceMayAskForMore(t *testing.T) {
	now := time.Unix(100, 0)
	settings := Settings{Tries: 6, Pause: time.Second, PauseMax: 4 * time.Second, FirstContact: 10 * time.Second}
	pauses := func(chance float64) *retry {
		return newRetry(&settings, func() time.Time { return now }, func() float64 { return chance })
	}
	for _, chance := range []float64{0, 1} {
		one := pauses(chance)
		for _, bound := range []float64{1, 2, 4, 4, 4} {
			expected := time.Duration(bound * (1 + chance) / 2 * float64(time.Second))
			if pause, isMore := one.pause(0, true); pause != expected || !isMore {
				t.Errorf("%v, not %v", pause, expected)
			}
		}
		if _, isMore := one.pause(0, true); isMore {
			t.Error("a try too many")
		}
	}
	if pause, _ := pauses(0).pause(7*time.Second, true); pause != 7500*time.Millisecond {
		t.Errorf("asked for 7 seconds: %v", pause)
	}
	if pause, _ := pauses(0).pause(time.Hour, true); pause != 30500*time.Millisecond {
		t.Errorf("asked for an hour: %v", pause)
	}
	first := pauses(1)
	now = time.Unix(109, 0)
	if _, isMore := first.pause(0, false); !isMore {
		t.Error("given up within the first contact")
	}
	now = time.Unix(109, 1e8)
	if _, isMore := first.pause(0, false); isMore {
		t.Error("not given up after the first contact")
	}
	if _, isMore := first.pause(0, true); !isMore {
		t.Error("given up, though it answered before")
	}
}

func TestAnswersAreErrors(t *testing.T) {
	header := http.Header{"Retry-After": {"7"}, "X-Request-Id": {"r1"}}
	large := problemOf(413, header, []byte("<html>"), "https://e", "t1")
	if large.Code != "UNEXPECTED_ANSWER" || large.Retryable || large.RequestID != "r1" || large.TaskID != "t1" ||
		large.RetryAfter != 7*time.Second || !strings.Contains(large.Error(), "client_max_body_size") {
		t.Errorf("%+v", large)
	}
	if hostile := problemOf(400, header,
		[]byte(`{"code":"\u001b[2J"}`), "https://e", ""); hostile.Code != "UNEXPECTED_ANSWER" {
		t.Errorf("%+v", hostile)
	}
	full := problemOf(429, header, []byte(`{"code":"QUEUE_FULL","detail":"d","who":"platform","retryable":true,
		"request_id":"r","status":429,"open":4}`), "https://e", "t")
	if full.Error() != "QUEUE_FULL: d (export t, request r)" || !errors.Is(full, ErrBusy) || full.Who != "platform" ||
		!reflect.DeepEqual(full.Facts, map[string]any{"open": 4.0}) || !full.Retryable || !full.isTransient() {
		t.Errorf("%+v", full)
	}
	row := problemOf(400, header, []byte(`{"code":"INVALID_REQUEST","row":2,"column":"a","batch":6}`), "https://e", "")
	if !errors.Is(row, ErrInvalidRow) || row.Error() != "INVALID_REQUEST:  (row 2, column a, batch 6)" {
		t.Errorf("%v", row)
	}
	var status Status
	right := `{"task_id":"t","state":"failed","error":{"code":"X"},"warnings":[{"kind":"k","count":2}],"eta_seconds":null}`
	if err := json.Unmarshal([]byte(right), &status); err != nil || status.failure.Code != "X" ||
		status.Warnings["k"] != 2 {
		t.Errorf("%+v: %v", status, err)
	}
	for _, name := range []string{"task_id", "state", "warnings", "error", "progress_percent"} {
		var members map[string]any
		_ = json.Unmarshal([]byte(right), &members)
		members[name] = []any{"x"}
		odd, _ := json.Marshal(members)
		if err := json.Unmarshal(odd, &status); err == nil {
			t.Errorf("%s of another kind was read", name)
		}
	}
}

func TestACallWithoutAnAnswerEndsAndSoDoesOneWhoseContextEnds(t *testing.T) {
	release := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, asked *http.Request) {
		_, _ = io.Copy(io.Discard, asked.Body)
		<-release
	}))
	defer silent.Close()
	defer close(release)
	again := 0
	client, err := New(silent.URL, "", Settings{
		Tries: 3, Pause: time.Millisecond, AnswerTimeout: 20 * time.Millisecond,
		OnRetry: func(*Error, time.Duration) { again++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Find("t").Status(context.Background())
	failure := refused(t, err, ErrTransport, "UNREACHABLE")
	if !failure.Retryable || failure.TaskID != "t" || again != 2 {
		t.Errorf("%+v after %d more tries", failure, again)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err = client.Find("t").Status(ctx); err != context.Canceled {
		t.Errorf("a context that has ended: %v", err)
	}
}

func TestCertificatesThatAreNotTrustedAreNotTriedAgain(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	client, _ := New(server.URL, "", Settings{OnRetry: func(*Error, time.Duration) { t.Error("tried again") }})
	_, err := client.Find("t").Status(context.Background())
	if failure := refused(t, err, ErrTransport, "UNREACHABLE"); failure.Retryable {
		t.Errorf("%+v", failure)
	}
}

// refused is the error, if it is of this kind and has this code.
func refused(t *testing.T, err, kind error, code string) *Error {
	t.Helper()
	var failure *Error
	if !errors.As(err, &failure) || !errors.Is(err, kind) || failure.Code != code {
		t.Fatalf("expected %s, found %v", code, err)
	}
	return failure
}
