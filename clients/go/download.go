package sluice

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
)

const (
	redirectsMax    = 5
	problemBytesMax = 1 << 16
)

// download goes on after a cut through a new link, and counts only when it is whole and has its checksum.
type download struct {
	task   *task
	sha256 string
	file   *os.File
	hash   hash.Hash
	bytes  int64
	// The most that was ever there: a server that begins anew each time and is cut each time makes no headway.
	most int64
}

// saveTo saves the file under a name beside its own, and renames it when it is whole; a failure leaves path as it was.
func (d *download) saveTo(ctx context.Context, path string) error {
	link, err := d.task.link(ctx) // says what the service says where there is no file
	if err != nil {
		return err
	}
	random := make([]byte, 4)
	if _, err := rand.Read(random); err != nil {
		return err
	}
	part := path + "." + hex.EncodeToString(random) + ".part"
	if d.file, err = os.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o666); err != nil {
		return notWritten(path, err)
	}
	defer os.Remove(part) // where it was not renamed
	defer d.file.Close()
	if before, err := os.Stat(path); err == nil { // open to no others than before
		if err := d.file.Chmod(before.Mode().Perm()); err != nil {
			return notWritten(path, err)
		}
	}
	if err := d.fill(ctx, link); err != nil {
		return err
	}
	for _, last := range []func() error{d.file.Sync, d.file.Close, func() error { return os.Rename(part, path) }} {
		if err := last(); err != nil {
			return notWritten(path, err)
		}
	}
	return nil
}

func (d *download) fill(ctx context.Context, link string) error {
	d.hash = sha256.New()
	err := d.task.calls.repeat(ctx, func() error {
		one := link
		link = ""
		if one == "" {
			var err error
			if one, err = d.task.link(ctx); err != nil {
				return err
			}
		}
		to, err := d.task.calls.address.Parse(one)
		if err != nil {
			return unexpected(d.task.id, "the answer has no link")
		}
		return d.append(ctx, to, 0)
	}, func() int64 { return d.most }, nil)
	if err != nil {
		return err
	}
	if hex.EncodeToString(d.hash.Sum(nil)) != d.sha256 {
		return &Error{
			Code: "RESULT_VERIFY_FAILED", Detail: "The download is not what was written", Who: "operator",
			TaskID: d.task.id, kind: ErrExportFailed,
		}
	}
	return nil
}

// append what the address has behind what is there. It carries no credential of ours, so it may lead on to a store.
func (d *download) append(ctx context.Context, to *url.URL, redirects int) error {
	made, err := http.NewRequest("GET", to.String(), nil)
	if err != nil {
		return unexpected(d.task.id, "the answer has no link")
	}
	made.Header.Set("Accept-Encoding", "identity")
	if d.bytes > 0 {
		made.Header.Set("Range", "bytes="+strconv.FormatInt(d.bytes, 10)+"-")
	}
	var next *url.URL
	calls := d.task.calls
	err = calls.exchange(ctx, made, d.task.id, func(answer *http.Response, bytes io.Reader) error {
		if redirects < redirectsMax {
			next = redirectOf(answer, to)
		}
		if next != nil || answer.StatusCode == 416 { // 416: the connection broke behind the last byte
			return nil
		}
		if answer.StatusCode != 200 && answer.StatusCode != 206 {
			text, _ := io.ReadAll(io.LimitReader(bytes, problemBytesMax))
			if problem := problemOf(answer.StatusCode, answer.Header, text, calls.server, d.task.id); problem != nil {
				return problem
			}
			return unexpected(d.task.id, "the store answers, but without the file")
		}
		if answer.StatusCode == 200 { // also of a store that knows no ranges, and sends all of it again
			if err := d.file.Truncate(0); err != nil {
				return notWritten("the file", err)
			}
			d.bytes = 0
			d.hash.Reset()
		}
		_, err := io.Copy(d, bytes)
		return err
	})
	if err == nil && next != nil {
		return d.append(ctx, next, redirects+1)
	}
	return err
}

// Write takes a block that came.
func (d *download) Write(block []byte) (int, error) {
	if _, err := d.file.WriteAt(block, d.bytes); err != nil {
		return 0, notWritten("the file", err)
	}
	d.hash.Write(block)
	d.bytes += int64(len(block))
	if d.bytes > d.most {
		d.most = d.bytes
	}
	return len(block), nil
}

// redirectOf says where an answer leads; nil where it leads nowhere, or from HTTPS to HTTP.
func redirectOf(answer *http.Response, from *url.URL) *url.URL {
	location := answer.Header.Get("Location")
	if answer.StatusCode < 300 || answer.StatusCode > 308 || location == "" {
		return nil
	}
	to, err := from.Parse(location)
	if err != nil || to.Scheme != "https" && to.Scheme != from.Scheme {
		return nil
	}
	return to
}
