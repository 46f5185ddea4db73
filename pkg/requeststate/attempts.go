package requeststate

import (
	"errors"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/portolan-dev/portolan/pkg/allocation"
)

// SetRejection records a plugin's reason to reject the object of this attempt. The storage
// returns it only after it has checked AlreadyExists: a client that creates an object
// twice gets that error, and not one about taken values.
func (p *Picks) SetRejection(plugin string, cause *field.Error) { p.setRejection(plugin, cause) }

// ClearRejection records that a plugin has no reason to reject the object of this attempt.
func (p *Picks) ClearRejection(plugin string) { p.setRejection(plugin, nil) }

// setRejection keeps the place of a plugin that has no rejection, so that a later one comes
// in the order of the plugins.
func (p *Picks) setRejection(plugin string, cause *field.Error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.rejections {
		if p.rejections[i].plugin == plugin {
			p.rejections[i].cause = cause
			return
		}
	}
	p.rejections = append(p.rejections, rejection{plugin, cause})
}

// Rejection returns the first plugin's reason to reject the write, or nil.
func (p *Picks) Rejection() *field.Error {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, rejection := range p.rejections {
		if rejection.cause != nil {
			return rejection.cause
		}
	}
	return nil
}

// SetStatus sets the status that the Service of this attempt gets. Nil leaves it as it is
// stored. The registry sets it in the object: it overwrites a status that a client writes
// together with the spec.
func (p *Picks) SetStatus(status *corev1.ServiceStatus) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = status
}

// Status returns a copy of the status of SetStatus.
func (p *Picks) Status() *corev1.ServiceStatus {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status.DeepCopy()
}

// Charged reports whether the request has been charged to its quotas. A request creates
// at most one object, in any number of attempts.
func (p *Picks) Charged() bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.charged
}

// SetCharged records that the request has been charged.
func (p *Picks) SetCharged() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.charged = true
}

// RecordFailure records that this attempt can't have a value that the client named.
func (p *Picks) RecordFailure(value allocation.Value) {
	if p == nil {
		return
	}
	block := p.index.BlockOf(value)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail(value.String(), Failure{Class: value.Class, Block: block, Scope: Static})
}

// failPick records that no value was free for a slot. The caller holds the lock.
func (p *Picks) failPick(slot string, class allocation.Class, err error) {
	failure := Failure{Class: class, Scope: Dynamic}
	var full *allocation.ExhaustedError
	if errors.As(err, &full) && len(full.Ranges) == 1 {
		failure.Block = full.Ranges[0].Text
	}
	p.fail(slot, failure)
}

// fail makes the map on demand, as few requests have failures. The caller holds the lock.
func (p *Picks) fail(name string, failure Failure) {
	if p.failures == nil {
		p.failures = map[string]Failure{}
	}
	p.failures[name] = failure
}

// ClearFailures forgets the failures, because another attempt begins or the request is
// answered with another error.
func (p *Picks) ClearFailures() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.failures)
}
