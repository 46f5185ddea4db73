//go:build e2e

package controllers

import (
	"testing"

	"github.com/portolan-dev/portolan/test/framework"
)

const namespace = "shop"

func TestMain(m *testing.M) { framework.QuietMain(m) }
