package controllers

import (
	"testing"
)

func TestReadiness(t *testing.T) {
	f := start(t, nil)
	f.createService(newService("web", nil))
	f.expect("web", "|", "")
	a := f.createPod(newPod("web", "a", nil, "10.1.0.1"))
	f.expect("web", "| 10.1.0.1:8080", "10.1.0.1:8080")
	f.updatePod(a, ready)
	f.expect("web", "10.1.0.1:8080 |", "10.1.0.1:8080/r/s")
}
