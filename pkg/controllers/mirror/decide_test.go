package mirror

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// service returns a Service. With a cluster it is the copy of that cluster's.
func service(uid types.UID, cluster string, change func(*corev1.Service)) *corev1.Service {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default", UID: uid, ResourceVersion: "7"}}
	if cluster != "" {
		s.Annotations = map[string]string{v1.AnnotationMirroredFrom: cluster}
	}
	if change != nil {
		change(s)
	}
	return s
}

func TestDecide(t *testing.T) {
	typed := func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeNodePort }
	for name, test := range map[string]struct {
		source, ours *corev1.Service
		want         action
	}{
		"neither":                          {nil, nil, nothing},
		"new":                              {service("1", "", nil), nil, write},
		"equal":                            {service("1", "", nil), service("1", "a", nil), nothing},
		"equal, of another address":        {service("1", "", nil), service("1", "b", nil), nothing},
		"changed":                          {service("1", "", typed), service("1", "a", nil), write},
		"annotation of the copy is gone":   {service("1", "", nil), service("1", "", nil), nothing},
		"created again":                    {service("2", "", nil), service("1", "a", nil), remove},
		"gone":                             {nil, service("1", "a", nil), remove},
		"Portolan's own":                   {nil, service("1", "", nil), nothing},
		"Portolan's own of the same name":  {service("1", "", nil), service("2", "", nil), nameTaken},
		"released":                         {service("2", "", nil), service("1", "", released("2")), write},
		"released, same UID":               {service("1", "", nil), service("1", "", released("1")), write},
		"released to another":              {service("2", "", nil), service("1", "", released("3")), nameTaken},
		"about to be released":             {service("2", "", releasing("1")), service("1", "", nil), nothing},
		"says so of another":               {service("2", "", releasing("3")), service("1", "", nil), nameTaken},
		"terminating, otherwise unchanged": {service("1", "", terminating), service("1", "a", nil), nothing},
	} {
		t.Run(name, func(t *testing.T) {
			got, obj := decide(objectOf(test.source), objectOf(test.ours), "a")
			if got != test.want {
				t.Fatalf("got %v, want %v", got, test.want)
			}
			if (obj != nil) != (got == write) {
				t.Fatalf("it is to write %v", obj)
			}
			if obj == nil {
				return
			}
			version := ""
			if test.ours != nil {
				version = test.ours.ResourceVersion
			}
			if cluster, _ := v1.MirroredFrom(obj); cluster != "a" || obj.GetResourceVersion() != version || obj.GetUID() != test.source.UID {
				t.Errorf("it is to write %v", obj)
			}
		})
	}
}

func released(to string) func(*corev1.Service) {
	return func(s *corev1.Service) { s.Annotations = map[string]string{v1.AnnotationReleasedTo: to} }
}

func releasing(from string) func(*corev1.Service) {
	return func(s *corev1.Service) { s.Annotations = map[string]string{v1.AnnotationReleasedFrom: from} }
}

func terminating(s *corev1.Service) {
	now, grace := metav1.Now(), int64(0)
	s.DeletionTimestamp, s.DeletionGracePeriodSeconds = &now, &grace
}

// objectOf keeps nil.
func objectOf(s *corev1.Service) object {
	if s == nil {
		return nil
	}
	return s
}

func TestFollows(t *testing.T) {
	for name, test := range map[string]struct {
		source, ours *corev1.Service
		skipped      bool
		want         bool
	}{
		"no Service":                {nil, nil, false, true},
		"Portolan's own alone":      {nil, service("1", "", nil), false, false},
		"not copied yet":            {service("1", "", nil), nil, false, false},
		"copied":                    {service("1", "", nil), service("1", "a", nil), false, true},
		"the copy is of another":    {service("2", "", nil), service("1", "a", nil), false, false},
		"adopted":                   {service("1", "", nil), service("1", "", nil), false, false},
		"Portolan's own, same name": {service("1", "", nil), service("2", "", nil), false, false},
		"skipped":                   {service("1", "", nil), nil, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := follows(test.source, test.ours, test.skipped); got != test.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestIgnored(t *testing.T) {
	plain := service("1", "", nil)
	writtenBack := service("1", "", func(s *corev1.Service) { s.Labels = map[string]string{v1.LabelWrittenBack: v1.WrittenBack} })
	election := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{
		resourcelock.LeaderElectionRecordAnnotationKey: "{}",
	}}}
	if ignored(plain) || !ignored(writtenBack) || !ignored(election) {
		t.Error("the wrong objects are copied")
	}
}

// TestConflict wants a conflict of a value reported once, and only if it lasts.
func TestConflict(t *testing.T) {
	s := NewStatus()
	for attempt := 1; attempt <= reportAfter+1; attempt++ {
		reported, news := s.conflict("services/default/web", ReasonValue, "taken")
		if reported != (attempt >= reportAfter) || news != (attempt == reportAfter) {
			t.Errorf("attempt %d: reported %v, news %v", attempt, reported, news)
		}
	}
	if _, news := s.conflict("services/default/web", ReasonName, "name"); !news {
		t.Error("another reason is no news")
	}
	if n := s.Conflicts()[Count{"services", ReasonName}]; n != 1 {
		t.Errorf("%d conflicts", n)
	}
	s.resolved("services/default/web")
	if n := s.Conflicts()[Count{"services", ReasonName}]; n != 0 || len(s.unresolved()) != 0 {
		t.Errorf("%d conflicts", n)
	}
}
