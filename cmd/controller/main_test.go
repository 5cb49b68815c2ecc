package main

import (
	"testing"

	"github.com/kontena/network-lb/cmd/internal/processtest"
)

func TestFlagsPage(t *testing.T) { processtest.FlagsPage(t, "controller", summary, options) }
