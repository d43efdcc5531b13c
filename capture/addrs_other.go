//go:build !linux

package capture

import (
	"errors"

	"connrace/tcpstate"
)

// LocalAddrs returns the addresses that a network namespace has, on Linux.
func LocalAddrs(string) (map[tcpstate.Addr]bool, error) { return nil, errors.ErrUnsupported }
