package main

import (
	"fmt"
	"os"
	"testing"

	"github.com/kontena/network-lb/cmd/internal/processtest"
)

func TestMain(m *testing.M) {
	if mode := os.Getenv(speakerEnv); mode != "" {
		if err := speak(mode == restarting, os.Getenv(folderEnv), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "speaker:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestFlagsPage(t *testing.T) { processtest.FlagsPage(t, "speaker", summary, options) }
