package claims

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/storage"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// oneObject stores a single object and runs the functions that it gets on the object, as
// etcd3's store does on each attempt.
type oneObject struct {
	storage.Interface
	object  runtime.Object
	deleted bool
	passed  int
}

func (s *oneObject) Delete(ctx context.Context, _ string, _ runtime.Object, _ *storage.Preconditions, validate storage.ValidateObjectFunc,
	_ runtime.Object, _ storage.DeleteOptions) error {
	if err := validate(ctx, s.object); err != nil {
		return err
	}
	s.deleted = true
	return nil
}

func (s *oneObject) GuaranteedUpdate(_ context.Context, _ string, _ runtime.Object, _ bool, _ *storage.Preconditions,
	tryUpdate storage.UpdateFunc, _ runtime.Object) error {
	output, _, err := tryUpdate(s.object.DeepCopyObject(), storage.ResponseMeta{})
	if err == nil {
		s.object = output
	}
	return err
}

func (s *oneObject) ReadinessCheck() error {
	s.passed++
	return nil
}

func someAddress(uid types.UID) *v1.IPAddress {
	return &v1.IPAddress{
		ObjectMeta: metav1.ObjectMeta{Name: "10.96.0.10", Labels: v1.HeldAddressLabels("10.96.0.10")},
		Spec:       v1.IPAddressSpec{ParentRef: &v1.ParentReference{Resource: "services", Namespace: "default", Name: "web", UID: uid}},
	}
}

func somePort(uid types.UID) *v1.NodePort {
	return &v1.NodePort{
		ObjectMeta: metav1.ObjectMeta{Name: "30080"},
		Spec: v1.NodePortSpec{
			Protocols: []corev1.Protocol{corev1.ProtocolTCP},
			ParentRef: &v1.ParentReference{Resource: "services", Namespace: "default", Name: "web", UID: uid},
		},
	}
}

const (
	addressConflict = `Operation cannot be fulfilled on ipaddresses.portolan.dev "10.96.0.10": the address is held by services/default/web: `
	portConflict    = `Operation cannot be fulfilled on nodeports.portolan.dev "30080": the port is held by services/default/web: `
)

func checkConflict(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Fatalf("unexpected error: %v", err)
		}
		return
	}
	if !apierrors.IsConflict(err) || err.Error() != want {
		t.Fatalf("got %v\nwant a conflict, %s", err, want)
	}
}

func allowAll(context.Context, runtime.Object) error { return nil }

func TestProtectHeldDelete(t *testing.T) {
	for name, test := range map[string]struct {
		object runtime.Object
		want   string
	}{
		"held address":     {someAddress("u"), addressConflict + "delete the Service, or take the address from it, instead"},
		"held port":        {somePort("u"), portConflict + "delete the Service, or take the port from it, instead"},
		"reserved address": {object: someAddress("")},
		"reserved port":    {object: somePort("")},
		"no parentRef":     {object: &v1.IPAddress{}},
		"no claim":         {object: &v1.ServiceCIDR{}},
	} {
		t.Run(name, func(t *testing.T) {
			inner := &oneObject{object: test.object}
			err := ProtectHeld(inner).Delete(t.Context(), "key", nil, nil, allowAll, nil, storage.DeleteOptions{})
			checkConflict(t, err, test.want)
			if inner.deleted != (test.want == "") {
				t.Errorf("deleted: %v", inner.deleted)
			}
		})
	}
}

func TestProtectHeldAsksAdmissionFirst(t *testing.T) {
	denied := errors.New("denied")
	inner := &oneObject{object: someAddress("u")}
	deny := func(context.Context, runtime.Object) error { return denied }
	if err := ProtectHeld(inner).Delete(t.Context(), "key", nil, nil, deny, nil, storage.DeleteOptions{}); !errors.Is(err, denied) {
		t.Errorf("got %v", err)
	}
}

// claimUpdate is an update of a claim, and the conflict that it ends in.
type claimUpdate struct {
	object runtime.Object
	change func(metav1.Object)
	want   string
}

func checkUpdates(t *testing.T, updates map[string]claimUpdate) {
	t.Helper()
	for name, test := range updates {
		t.Run(name, func(t *testing.T) {
			inner := &oneObject{object: test.object}
			err := ProtectHeld(inner).GuaranteedUpdate(t.Context(), "key", nil, false, nil,
				storage.SimpleUpdate(func(object runtime.Object) (runtime.Object, error) {
					test.change(object.(metav1.Object))
					return object, nil
				}), nil)
			checkConflict(t, err, test.want)
		})
	}
}

// metadata is a change of a claim's metadata.
func metadata(change func(*metav1.ObjectMeta)) func(metav1.Object) {
	return func(object metav1.Object) {
		claim, _ := contentsOf(object.(runtime.Object))
		change(claim.meta)
	}
}

func deleting(object metav1.Object) { object.SetDeletionTimestamp(&metav1.Time{}) }

func labeled(object metav1.Object) {
	labels := map[string]string{"a": "b"}
	maps.Copy(labels, object.GetLabels())
	object.SetLabels(labels)
}

func moved(object metav1.Object) {
	switch claim := object.(type) {
	case *v1.IPAddress:
		claim.Spec.ParentRef.Name = "other"
	case *v1.NodePort:
		claim.Spec.Protocols[0] = corev1.ProtocolUDP
	}
}

func finalized(object metav1.Object) {
	object.SetFinalizers(append(object.GetFinalizers(), "example.com/f"))
}

func owned(object metav1.Object) {
	object.SetOwnerReferences(append(object.GetOwnerReferences(), metav1.OwnerReference{APIVersion: "v1", Kind: "Pod", Name: "p", UID: "p"}))
}

func stripped(object metav1.Object) { object.SetLabels(nil) }

func annotated(size int) func(metav1.Object) {
	return metadata(func(m *metav1.ObjectMeta) { m.Annotations = map[string]string{"a": strings.Repeat("x", size)} })
}

func TestProtectHeldUpdate(t *testing.T) {
	terminating := someAddress("u")
	deleting(terminating)
	checkUpdates(t, map[string]claimUpdate{
		"held address, label":     {object: someAddress("u"), change: labeled},
		"held address, spec":      {someAddress("u"), moved, addressConflict + "the address follows the Service, change that instead"},
		"held address, deletion":  {someAddress("u"), deleting, addressConflict + "delete the Service, or take the address from it, instead"},
		"deleted before the hold": {object: terminating, change: labeled},
		"held port, label":        {object: somePort("u"), change: labeled},
		"held port, spec":         {somePort("u"), moved, portConflict + "the port follows the Service, change that instead"},
		"held port, deletion":     {somePort("u"), deleting, portConflict + "delete the Service, or take the port from it, instead"},
		"reservation, finalizer":  {object: somePort(""), change: finalized},
		"reservation, owner":      {object: someAddress(""), change: owned},
		"reservation, labels":     {object: someAddress(""), change: stripped},
		"reservation, spec":       {object: somePort(""), change: moved},
		"reservation, deletion":   {object: someAddress(""), change: deleting},
		"no claim":                {object: &v1.ServiceCIDR{}, change: deleting},
	})
}

// The server owns labels, finalizers, owners and the size of a held claim's metadata.
func TestProtectHeldUpdateOfMetadata(t *testing.T) {
	relabeled := metadata(func(m *metav1.ObjectMeta) { m.Labels[v1.LabelIPFamily] = "IPv6" })
	bare, odd := someAddress("u"), someAddress("u")
	stripped(bare)
	finalized(odd)
	owned(odd)
	full := somePort("u")
	annotated(9000)(full)
	cleaned := metadata(func(m *metav1.ObjectMeta) { m.Finalizers, m.OwnerReferences = nil, nil })
	restored := metadata(func(m *metav1.ObjectMeta) { m.Labels = v1.HeldAddressLabels(m.Name) })
	const (
		finalizerText = `metadata.finalizers can't get "example.com/f" while the Service holds the `
		ownerText     = `metadata.ownerReferences can't get the Pod "p" while the Service holds the `
		labelText     = `metadata.labels["ipaddress.kubernetes.io/ip-family"] must be "IPv4" while the Service holds the address`
	)
	checkUpdates(t, map[string]claimUpdate{
		"held address, finalizer":      {someAddress("u"), finalized, addressConflict + finalizerText + "address"},
		"held port, finalizer":         {somePort("u"), finalized, portConflict + finalizerText + "port"},
		"held address, owner":          {someAddress("u"), owned, addressConflict + ownerText + "address"},
		"held port, owner":             {somePort("u"), owned, portConflict + ownerText + "port"},
		"held address, label stripped": {someAddress("u"), stripped, addressConflict + labelText},
		"held address, label changed":  {someAddress("u"), relabeled, addressConflict + labelText},
		"held address, annotation":     {object: someAddress("u"), change: annotated(9000)},
		"held port, annotation":        {object: somePort("u"), change: annotated(3000)},
		"held port, too large": {somePort("u"), annotated(9000),
			portConflict + "metadata can't exceed 4096 bytes, managed fields included, while the Service holds the port"},
		"too large before, label":                {object: full, change: annotated(8000)},
		"stripped before, annotation":            {object: bare, change: annotated(1)},
		"stripped before, restored":              {object: bare, change: restored},
		"finalizer and owner before, annotation": {object: odd, change: annotated(1)},
		"finalizer and owner before, removed":    {object: odd, change: cleaned},
	})
}

func TestProtectHeldUpdateKeepsErrors(t *testing.T) {
	stop := errors.New("stop")
	update := storage.SimpleUpdate(func(object runtime.Object) (runtime.Object, error) {
		object.(*v1.IPAddress).Spec.ParentRef = nil
		return nil, stop
	})
	if err := ProtectHeld(&oneObject{object: someAddress("u")}).GuaranteedUpdate(t.Context(), "key", nil, false, nil, update,
		nil); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
}

func TestProtectHeldPassesEverythingElse(t *testing.T) {
	inner := &oneObject{}
	if err := ProtectHeld(inner).ReadinessCheck(); err != nil || inner.passed != 1 {
		t.Errorf("error %v, passed %d times", err, inner.passed)
	}
}
