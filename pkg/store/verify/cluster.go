package verify

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// CheckCluster compares the Services of a store with those that a cluster's API server has
// itself, and returns the report of Check with what is wrong between the two: names and values
// that both have, and copies that differ from their source. What changes while the two are
// read can be reported too.
func CheckCluster(contents Contents, cluster []corev1.Service) Report {
	s := sides{ours: map[string]*v1.Service{}, theirs: map[string]*corev1.Service{}}
	for i := range contents.Services {
		service := &contents.Services[i]
		s.ours[keyOf(services, service.Namespace, service.Name)] = service
	}
	for i := range cluster {
		// Portolan has written these there for kube-apiserver. They hold what its own hold.
		if cluster[i].Labels[v1.LabelWrittenBack] != v1.WrittenBack {
			s.theirs[keyOf(services, cluster[i].Namespace, cluster[i].Name)] = &cluster[i]
		}
	}
	c := checker{report: Check(contents)}
	for key, ours := range s.ours {
		s.checkOurs(&c, key, ours)
	}
	for key := range s.theirs {
		if _, known := s.ours[key]; !known {
			c.warning("%s of the cluster is not mirrored", key)
		}
	}
	s.checkValues(&c)
	c.report.Violations, c.report.Warnings = tidy(c.report.Violations), tidy(c.report.Warnings)
	return c.report
}

// sides are the Services of both sides by key.
type sides struct {
	ours   map[string]*v1.Service
	theirs map[string]*corev1.Service
}

// checkOurs compares a Service of the store with the cluster's of the same name.
func (s sides) checkOurs(c *checker, key string, ours *v1.Service) {
	theirs := s.theirs[key]
	mirrored := v1.IsMirrored(ours)
	switch {
	case theirs == nil && mirrored:
		c.violation("%s is a copy, but the cluster has no such Service", key)
	case theirs == nil:
	case mirrored && ours.UID != theirs.UID:
		c.violation("%s is the copy of another Service than the cluster's: the uid is %s there and %s here", key, theirs.UID, ours.UID)
	case mirrored:
		if !equality.Semantic.DeepEqual(ours.Spec, theirs.Spec) || !equality.Semantic.DeepEqual(ours.Status, theirs.Status) ||
			!equality.Semantic.DeepEqual(ours.Labels, theirs.Labels) {
			c.violation("%s is a copy that differs from the cluster's Service", key)
		}
	case v1.KeptByAPIServers(ours):
		// Each API server keeps its own.
	case ours.UID == theirs.UID:
		c.warning("%s has been adopted, but the cluster still has it: run portolan adopt again", key)
	case theirs.Annotations[v1.AnnotationReleasedFrom] == string(ours.UID):
		c.warning("%s is being released, and not done: run portolan release again", key)
	default:
		c.violation("%s is Portolan's own, but the cluster has a Service of this name too", key)
	}
}

// checkValues finds values that Services of different names hold on the two sides.
func (s sides) checkValues(c *checker) {
	holders := map[string]string{}
	for key, theirs := range s.theirs {
		for value := range holdingsOf(&v1.Service{ObjectMeta: theirs.ObjectMeta, Spec: theirs.Spec}) {
			holders[value] = key
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.ours)) {
		for value, held := range holdingsOf(s.ours[key]) {
			if holder, taken := holders[value]; taken && holder != key {
				c.violation("%s is held by %s, and by %s at the cluster", held.text, key, holder)
			}
		}
	}
}
