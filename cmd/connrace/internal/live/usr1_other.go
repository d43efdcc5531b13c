//go:build !unix

package live

import "os"

// notifyUSR1 does nothing: there is no such signal.
func notifyUSR1(chan<- os.Signal) {}
