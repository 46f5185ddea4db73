package endpointslice

import (
	"fmt"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/tools/record"
)

// maxRecorded is the most values that one event names, to keep its message short.
const maxRecorded = 3

// leftOut records an event on a Service when values of its Pods are left out of its
// endpoints because they are invalid. It records each message once.
type leftOut struct {
	recorder record.EventRecorder

	mu sync.Mutex
	// recorded holds the last message of each Service that has one.
	recorded map[types.NamespacedName]string
}

func (l *leftOut) record(service *corev1.Service, errs field.ErrorList) {
	name := types.NamespacedName{Namespace: service.Namespace, Name: service.Name}
	if len(errs) == 0 {
		l.forget(name)
		return
	}
	var texts []string
	for _, err := range errs[:min(len(errs), maxRecorded)] {
		texts = append(texts, err.Error())
	}
	if more := len(errs) - maxRecorded; more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	message := "Left out of the endpoints: Pod " + strings.Join(texts, "; ")
	if l.replace(name, message) {
		l.recorder.Event(service, corev1.EventTypeWarning, "InvalidPodEndpoint", message)
	}
}

// replace stores the message of a Service and reports whether it differs from the
// previous one.
func (l *leftOut) replace(name types.NamespacedName, message string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.recorded[name] == message {
		return false
	}
	l.recorded[name] = message
	return true
}

func (l *leftOut) forget(name types.NamespacedName) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.recorded, name)
}
