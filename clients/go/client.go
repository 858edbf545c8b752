// Package sluice sends tables of any length to a Sluice service, and gets files behind links.
//
// Every call takes a context, and returns an error of it as it is. All other errors are of type *Error, whose kind says
// what to do next: errors.Is(err, sluice.ErrBusy).
package sluice

import (
	"context"
	"net/url"
	"os"
)

// Client of one Sluice service, reached with one API key, which goes to that server only. It may be used by any number
// of goroutines.
type Client struct {
	calls *calls
}

// New client of a service such as https://exports.example.com; the key is empty where the service asks for none.
func New(address, key string, settings Settings) (*Client, error) {
	calls, err := newCalls(address, key, settings)
	if err != nil {
		return nil, err
	}
	return &Client{calls}, nil
}

// FromEnv makes the client of the environment: SLUICE_URL (by default the service on this machine), SLUICE_KEY.
func FromEnv(settings Settings) (*Client, error) {
	address := os.Getenv("SLUICE_URL")
	if address == "" {
		address = "http://127.0.0.1:9091"
	}
	return New(address, os.Getenv("SLUICE_KEY"), settings)
}

// Export describes an export; nothing is sent yet.
func (c *Client) Export(definition Definition) (*Export, error) {
	checked, err := definition.checked()
	if err != nil {
		return nil, err
	}
	return &Export{calls: c.calls, turn: newTurn(), definition: checked, key: checked.Key, progress: Progress{State: "open"}}, nil
}

// Find takes up an export by its id, in another process too; nothing is asked yet. It takes PushBatch and CloseWith,
// and everything that needs no definition.
func (c *Client) Find(taskID string) *Export {
	return &Export{
		calls: c.calls, turn: newTurn(), definition: Definition{OnProgress: func(Progress) {}}, isFound: true,
		task: &task{calls: c.calls, id: taskID}, progress: Progress{State: "open"},
	}
}

// List gives all exports of this key's tenant to each, newest first, until it says false; of a state, where that is not
// empty. Pages are fetched as they are read.
func (c *Client) List(ctx context.Context, state string, each func(Status) bool) error {
	seen := map[string]bool{}
	for cursor := ""; !seen[cursor]; {
		seen[cursor] = true
		query := url.Values{"limit": {"100"}}
		if state != "" {
			query.Set("state", state)
		}
		if cursor != "" {
			query.Set("cursor", cursor)
		}
		var page struct {
			Tasks  []Status `json:"tasks"`
			Cursor string   `json:"cursor"`
		}
		err := c.calls.call(ctx, request{method: "GET", path: "/v1/exports?" + query.Encode()}, "", &page)
		if err != nil {
			return err
		}
		if page.Tasks == nil {
			break
		}
		for _, one := range page.Tasks {
			if !each(one) {
				return nil
			}
		}
		if page.Cursor == "" {
			return nil
		}
		cursor = page.Cursor
	}
	return unexpected("", "the answer is no page of a list")
}
