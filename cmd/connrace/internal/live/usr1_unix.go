//go:build unix

package live

import (
	"os"
	"os/signal"
	"syscall"
)

// notifyUSR1 asks for the signal that wants the report so far.
func notifyUSR1(c chan<- os.Signal) { signal.Notify(c, syscall.SIGUSR1) }
