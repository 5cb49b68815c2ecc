// Command image builds the product's container image without a container engine.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/kontena/network-lb/lab/image"
)

func main() {
	out := flag.String("o", "", "tarball to write, for `FILE`: ctr -n k8s.io images import FILE (required)")
	tag := flag.String("tag", "", "tag of the image and version of its binaries (default: the chart's appVersion)")
	flag.Parse()
	if *out == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *tag, *out); err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, tag, out string) error {
	root, err := image.Root()
	if err != nil {
		return err
	}
	name, err := image.Product(ctx, root, tag, out)
	if err != nil {
		return err
	}
	fmt.Println(name)
	return nil
}
