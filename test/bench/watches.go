package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"slices"
	"sync"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

const (
	// watchChanges is how many changes make a round.
	watchChanges = 20
	endpoints    = 100
	watchedName  = "watched"
	// deliveryTimeout ends a run whose watches miss an event.
	deliveryTimeout = time.Minute
)

// watched is an object whose changes all watches get.
type watched struct {
	title string
	// path is that of the collection.
	path func(s *apiServer) []string
	make func(ctx context.Context, s *apiServer) error
}

var allWatched = []watched{
	{"a change to %d watches, Services", func(s *apiServer) []string { return s.services() }, func(ctx context.Context, s *apiServer) error {
		return s.create(ctx, 0, clusterIP, watchedName)
	}},
	{"a change to %d watches, EndpointSlices of 100", func(*apiServer) []string { return slicesPath }, makeSlice},
}

var slicesPath = []string{"/apis/discovery.k8s.io/v1/namespaces", namespace, "endpointslices"}

func makeSlice(ctx context.Context, s *apiServer) error {
	slice := &discoveryv1.EndpointSlice{
		TypeMeta:    metav1.TypeMeta{APIVersion: "discovery.k8s.io/v1", Kind: "EndpointSlice"},
		ObjectMeta:  metav1.ObjectMeta{Name: watchedName},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To[int32](8080)}},
	}
	for n := range endpoints {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{fmt.Sprintf("192.0.2.%d", n)}, NodeName: ptr.To(fmt.Sprintf("node-%d", n)),
			Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true), Serving: ptr.To(true), Terminating: ptr.To(false)},
		})
	}
	body, err := json.Marshal(slice)
	if err != nil {
		return err
	}
	return s.request(0, "POST", slicesPath...).SetHeader("Content-Type", runtime.ContentTypeJSON).Body(body).Do(ctx).Error()
}

// measureWatches measures what a change costs that many watches get, and how long it takes
// until a watch has it.
func (b *bench) measureWatches(ctx context.Context) error {
	if b.watches == 0 {
		return nil
	}
	for _, w := range allWatched {
		cell := newCell(fmt.Sprintf(w.title, b.watches), "", 1)
		cell.Services = b.filled
		for _, s := range b.servers {
			if err := w.make(ctx, s); err != nil {
				return fmt.Errorf("%s: %w", s.name(), err)
			}
		}
		for range b.rounds {
			for _, s := range b.servers {
				stats, err := w.measure(ctx, s, b.watches)
				if err != nil {
					return fmt.Errorf("%s: %s: %w", s.name(), cell.Op, err)
				}
				cell.add(s.name(), stats)
			}
		}
		b.add(cell)
	}
	return nil
}

// audience are the watches of one measurement.
type audience struct {
	mu sync.Mutex
	// sent is when the last change was sent, and latencies are those of all deliveries.
	sent      time.Time
	latencies []time.Duration
	// delivered has a value for each delivery.
	delivered chan struct{}
	ended     chan error
}

func (w watched) measure(ctx context.Context, s *apiServer, watches int) (Stats, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a := &audience{delivered: make(chan struct{}, watches), ended: make(chan error, watches)}
	from, err := s.revision(ctx, w.path(s)...)
	if err != nil {
		return Stats{}, err
	}
	for n := range watches {
		stream, err := s.request(n, "GET", w.path(s)...).SetHeader("Accept", runtime.ContentTypeJSON).
			Param("watch", "true").Param("resourceVersion", from).Stream(ctx)
		if err != nil {
			return Stats{}, err
		}
		defer stream.Close()
		go func() { a.ended <- a.receive(stream) }()
	}
	before, err := s.usage()
	if err != nil {
		return Stats{}, err
	}
	started := time.Now()
	for range watchChanges {
		body, err := json.Marshal(annotation(s.changes.Add(1)))
		if err != nil {
			return Stats{}, err
		}
		a.mu.Lock()
		a.sent = time.Now()
		a.mu.Unlock()
		request := s.request(0, "PATCH", append(w.path(s), watchedName)...).SetHeader("Content-Type", string(types.MergePatchType)).Body(body)
		if err := request.Do(ctx).Error(); err != nil {
			return Stats{}, err
		}
		if err := a.await(ctx, watches); err != nil {
			return Stats{}, err
		}
	}
	elapsed := time.Since(started)
	after, err := s.usage()
	if err != nil {
		return Stats{}, err
	}
	slices.Sort(a.latencies)
	return Stats{
		Rate: watchChanges / elapsed.Seconds(), CPU: milliseconds(after.CPU-before.CPU) / watchChanges,
		P50: quantile(a.latencies, 0.50), P99: quantile(a.latencies, 0.99),
	}, nil
}

// receive reads events, which are a line each, until the stream ends.
func (a *audience) receive(stream io.Reader) error {
	lines := bufio.NewReaderSize(stream, 1<<16)
	for {
		_, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return err
		}
		a.mu.Lock()
		a.latencies = append(a.latencies, time.Since(a.sent))
		a.mu.Unlock()
		a.delivered <- struct{}{}
	}
}

// await waits until each watch has the last change.
func (a *audience) await(ctx context.Context, watches int) error {
	timeout := time.After(deliveryTimeout)
	for n := range watches {
		select {
		case <-a.delivered:
		case err := <-a.ended:
			return fmt.Errorf("a watch has ended: %w", err)
		case <-timeout:
			return fmt.Errorf("%d of %d watches have an event after %v", n, watches, deliveryTimeout)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// revision returns the current resource version of a collection.
func (s *apiServer) revision(ctx context.Context, path ...string) (string, error) {
	data, err := s.request(0, "GET", path...).SetHeader("Accept", runtime.ContentTypeJSON).Param("limit", "1").Do(ctx).Raw()
	if err != nil {
		return "", err
	}
	list := &metav1.PartialObjectMetadataList{}
	if err := json.Unmarshal(data, list); err != nil {
		return "", err
	}
	if list.ResourceVersion == "" {
		log.Printf("  %s: a list has no resource version", s.name())
	}
	return list.ResourceVersion, nil
}
