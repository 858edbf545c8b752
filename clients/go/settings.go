package sluice

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// Gzip says whether batches are packed.
type Gzip int

// GzipAuto packs where the service is on another machine.
const (
	GzipAuto Gzip = iota
	GzipOn
	GzipOff
)

// Settings say how a client sends. The zero value of each is its default, which suits a script or a queue job; a web
// request wants Tries: 2.
type Settings struct {
	// BatchBytes: a batch is sent once its JSON has so many bytes (262,144),
	BatchBytes int
	// BatchRows: or so many rows (5,000).
	BatchRows int
	// InFlight batches are on their way at a time (4).
	InFlight int
	// Tries of one call, the first one included (8).
	Tries int
	// Pause before the second try (0.2 s); each further pause is twice as long, half of it random,
	Pause time.Duration
	// PauseMax: up to this (20 s), unless the service asks for more.
	PauseMax time.Duration
	// FirstContact: a server that was never reached is given up after this time (10 s).
	FirstContact time.Duration
	// ConnectTimeout until a connection is there (5 s); not used with a Transport of yours.
	ConnectTimeout time.Duration
	// AnswerTimeout until a call is answered, and until the next byte of its answer comes (60 s).
	AnswerTimeout time.Duration
	// Gzip packs batches; by default where the service is on another machine.
	Gzip Gzip
	// Substitute puts U+FFFD in place of bytes that are not UTF-8 in texts.
	Substitute bool
	// Transport makes the requests: one with a proxy or an authority of your own.
	Transport http.RoundTripper
	// OnRetry is called before each further try, from any goroutine.
	OnRetry func(err *Error, pause time.Duration)
}

// filled has the defaults in place of what is zero.
func (s Settings) filled() (Settings, error) {
	for _, one := range []struct {
		number *int
		usual  int
	}{{&s.BatchBytes, 262_144}, {&s.BatchRows, 5_000}, {&s.InFlight, 4}, {&s.Tries, 8}} {
		if *one.number < 0 {
			return s, usage("A number of the settings is below zero.")
		}
		if *one.number == 0 {
			*one.number = one.usual
		}
	}
	for _, one := range []struct {
		duration *time.Duration
		usual    time.Duration
	}{
		{&s.Pause, 200 * time.Millisecond}, {&s.PauseMax, 20 * time.Second}, {&s.FirstContact, 10 * time.Second},
		{&s.ConnectTimeout, 5 * time.Second}, {&s.AnswerTimeout, 60 * time.Second},
	} {
		if *one.duration < 0 {
			return s, usage("A time of the settings is below zero.")
		}
		if *one.duration == 0 {
			*one.duration = one.usual
		}
	}
	if s.OnRetry == nil {
		s.OnRetry = func(*Error, time.Duration) {}
	}
	if s.Transport == nil {
		one, _ := transports.LoadOrStore(shared{s.ConnectTimeout, s.InFlight}, newTransport(s))
		s.Transport = one.(http.RoundTripper)
	}
	return s, nil
}

// transports of all clients, by what they are made of: a client may be made for each request.
var transports sync.Map

type shared struct {
	connectTimeout time.Duration
	inFlight       int
}

func newTransport(s Settings) http.RoundTripper {
	dialer := &net.Dialer{Timeout: s.ConnectTimeout, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, ForceAttemptHTTP2: true,
		MaxIdleConnsPerHost: s.InFlight + 1, IdleConnTimeout: 90 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second,
		DisableCompression:  true,
	}
}
