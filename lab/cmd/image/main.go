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
	root := flag.String("root", ".", "folder of the product's module")
	flag.Parse()
	if *out == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	name, err := image.Product(ctx, *root, *tag, *out)
	if err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
	fmt.Println(name)
}
