//go:build e2e

package controllers

import (
	"testing"
	"time"

	"github.com/portolan-dev/portolan/test/framework"
)

const (
	namespace = "shop"
	patience  = 30 * time.Second
)

func TestMain(m *testing.M) { framework.QuietMain(m) }
