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

func main() { os.Exit(run()) }

func run() int {
	out := flag.String("o", "", "tarball `FILE` to write, for ctr -n k8s.io images import FILE (required)")
	tag := flag.String("tag", "", "tag of the image and version of its binaries (default: the chart's appVersion)")
	flag.Parse()
	if *out == "" || flag.NArg() > 0 {
		flag.Usage()
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	name, err := build(ctx, *tag, *out)
	if err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		return 1
	}
	fmt.Println(name)
	return 0
}

func build(ctx context.Context, tag, out string) (string, error) {
	root, err := image.Root()
	if err != nil {
		return "", err
	}
	return image.Product(ctx, root, tag, out)
}
