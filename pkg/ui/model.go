package ui

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/portolan-dev/portolan/generated/clientset/versioned"
	"github.com/portolan-dev/portolan/pkg/occupancy"
)

const (
	// checkPeriod is how often the ranges are read even if nothing changes.
	checkPeriod = 10 * time.Second
	// retryPeriod is how long after an error a kind is read again.
	retryPeriod = 2 * time.Second
)

// Model has the ranges and claims of each kind, as the server last showed them.
type Model struct {
	mu    sync.Mutex
	kinds []kindState
	state State
	// changed is closed when there is another state.
	changed chan struct{}
}

// State is what is known at one time. It does not change.
type State struct {
	*occupancy.Occupancy
	// Version is another one in each state.
	Version int64
	// Problems are those of the kinds that could not be read.
	Problems []Problem
}

// Problem is why a kind could not be read.
type Problem struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
	// Since is when the last figures of the kind are from. It is zero if there are none.
	Since time.Time `json:"since,omitzero"`
}

type kindState struct {
	occupancy.Kind
	// answered is set when there is an answer of the server, or an error.
	answered bool
	objects  occupancy.Objects
	// read is when the objects were last known to be the server's.
	read time.Time
	err  error
}

// NewModel returns a model of kinds that has no objects yet.
func NewModel(kinds ...occupancy.Kind) *Model {
	m := &Model{changed: make(chan struct{})}
	for _, kind := range kinds {
		m.kinds = append(m.kinds, kindState{Kind: kind})
	}
	m.state = State{Occupancy: occupancy.New(occupancy.Objects{}), Problems: []Problem{}}
	return m
}

// State returns the state, and a channel that is closed when there is another one.
func (m *Model) State() (State, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state, m.changed
}

// Run follows the server until the context ends. A kind that can't be read does not affect
// the others.
func (m *Model) Run(ctx context.Context, client versioned.Interface) {
	var running sync.WaitGroup
	for i := range m.kinds {
		running.Go(func() { m.follow(ctx, client, i) })
	}
	running.Wait()
}

func (m *Model) follow(ctx context.Context, client versioned.Interface, i int) {
	for {
		err := occupancy.FollowEvery(ctx, client, checkPeriod, func(objs occupancy.Objects) error {
			m.set(i, objs)
			return nil
		}, m.kinds[i].Kind)
		if ctx.Err() != nil {
			return
		}
		m.fail(i, err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryPeriod):
		}
	}
}

// WaitAnswered waits until each kind was read, or could not be, or the context ends. It
// returns the error of the first kind if none could be read.
func (m *Model) WaitAnswered(ctx context.Context) error {
	for {
		_, changed := m.State()
		if answered, err := m.answered(); answered {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

func (m *Model) answered() (all bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	isRead := false
	for _, kind := range m.kinds {
		if !kind.answered {
			return false, nil
		}
		isRead = isRead || kind.err == nil
	}
	if isRead {
		return true, nil
	}
	return true, m.kinds[0].err
}

func (m *Model) set(i int, objs occupancy.Objects) {
	m.update(i, func(kind *kindState) { kind.objects, kind.read, kind.err = objs, time.Now(), nil })
}

func (m *Model) fail(i int, err error) {
	m.update(i, func(kind *kindState) {
		kind.err = err
		// The user lost the right to see these objects, or the server no longer has the kind.
		if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsNotFound(err) {
			kind.objects, kind.read = occupancy.Objects{}, time.Time{}
		}
	})
}

func (m *Model) update(i int, change func(*kindState)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	kind := &m.kinds[i]
	change(kind)
	kind.answered = true
	var all occupancy.Objects
	next := State{Version: m.state.Version + 1, Problems: []Problem{}}
	for _, kind := range m.kinds {
		all.Ranges, all.Claims = append(all.Ranges, kind.objects.Ranges...), append(all.Claims, kind.objects.Claims...)
		if kind.err != nil {
			next.Problems = append(next.Problems, Problem{Kind: kind.Name, Message: kind.err.Error(), Since: kind.read})
		}
	}
	next.Occupancy = occupancy.New(all)
	m.state = next
	close(m.changed)
	m.changed = make(chan struct{})
}
