// Command connrace finds in packet captures why a load balancer answered 502.
package main

import (
	"os"

	"connrace/cmd/connrace/internal/memory"
)

func main() {
	memory.CollectLate()
	confining = true
	os.Exit(run(untilSignal(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
