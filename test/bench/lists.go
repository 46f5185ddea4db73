package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
)

const (
	// listRequests is how many lists make a round.
	listRequests = 8
	pageSize     = 500
)

// listing is a way to list all Services.
type listing struct {
	name, accept string
	paged        bool
}

var listings = []listing{
	{"list, JSON", runtime.ContentTypeJSON, false},
	{"list, protobuf", runtime.ContentTypeProtobuf, false},
	{"list, table", "application/json;as=Table;g=meta.k8s.io;v=v1", false},
	inPages,
}

var inPages = listing{fmt.Sprintf("list, JSON, pages of %d", pageSize), runtime.ContentTypeJSON, true}

// measureLists measures lists by one client.
func (b *bench) measureLists(ctx context.Context) error {
	for _, l := range listings {
		cell := newCell(l.name, "", 1)
		cell.Services = b.filled
		for range b.rounds {
			for _, s := range b.servers {
				firsts := make([]time.Duration, listRequests)
				whole, err := measured(ctx, s, 1, listRequests, func(ctx context.Context, _, n int) (err error) {
					firsts[n], err = l.run(ctx, s)
					return err
				})
				if err != nil {
					return fmt.Errorf("%s: %s: %w", s.name(), l.name, err)
				}
				stats := whole.stats()
				stats.FirstByte = medianOf(firsts, milliseconds)
				cell.add(s.name(), stats)
			}
		}
		b.add(cell)
	}
	return nil
}

// run lists all Services and returns the time to the first byte.
func (l listing) run(ctx context.Context, s *apiServer) (first time.Duration, err error) {
	started := time.Now()
	for next, page := "", 0; page == 0 || next != ""; page++ {
		request := s.request(0, "GET", s.services()...).SetHeader("Accept", l.accept)
		if l.paged {
			request = request.Param("limit", strconv.Itoa(pageSize)).Param("continue", next)
		}
		stream, err := request.Stream(ctx)
		if err != nil {
			return 0, err
		}
		body := bufio.NewReader(stream)
		if _, err = body.Peek(1); err == nil && page == 0 {
			first = time.Since(started)
		}
		if next, err = l.rest(body); err != nil {
			_ = stream.Close()
			return 0, err
		}
		if err := stream.Close(); err != nil {
			return 0, err
		}
	}
	return first, nil
}

// rest reads the rest of a page and returns where the next one begins.
func (l listing) rest(body io.Reader) (next string, err error) {
	if !l.paged {
		_, err := io.Copy(io.Discard, body)
		return "", err
	}
	var list struct {
		Metadata struct {
			Continue string `json:"continue"`
		} `json:"metadata"`
	}
	err = json.NewDecoder(body).Decode(&list)
	return list.Metadata.Continue, err
}
