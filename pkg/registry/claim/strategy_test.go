package claim

import (
	"testing"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

func TestKeepHolder(t *testing.T) {
	ref := &v1.ParentReference{}
	KeepHolder(t.Context(), ref, &v1.ParentReference{UID: "u"})
	if ref.UID != "u" {
		t.Errorf("left out: got %q", ref.UID)
	}
	ref.UID = "mine"
	KeepHolder(t.Context(), ref, &v1.ParentReference{UID: "u"})
	if ref.UID != "mine" {
		t.Errorf("given: got %q, which validation would not see", ref.UID)
	}
	KeepHolder(t.Context(), nil, ref)
	KeepHolder(t.Context(), ref, nil)
}
