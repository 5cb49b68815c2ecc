package main

import (
	"os"
	"strings"
)

func Example() {
	_ = run(strings.NewReader(`up web acme
up db acme
up cache acme
down web
up dns infra
down cache
up web acme`), os.Stdout)
	// Output:
	// web has 192.0.2.2
	// db has 192.0.2.3
	// cache waits: namespace "acme" has reached its limit of 2 addresses of pool "guests"
	// web left 192.0.2.2
	// cache has 192.0.2.2
	// dns has 192.0.2.0
	// cache left 192.0.2.2
	// web has 192.0.2.2
}
