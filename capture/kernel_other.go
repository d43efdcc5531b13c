//go:build !linux

package capture

import (
	"errors"
	"fmt"

	"connrace/tcpstate"
)

// Witness asks the kernel about listeners, on Linux.
type Witness struct{}

// OpenWitness says that there is none.
func OpenWitness(WitnessOptions) (*Witness, error) {
	return nil, fmt.Errorf("the kernel's view of listeners is for Linux only: %w", errors.ErrUnsupported)
}

// Sample asks the kernel.
func (*Witness) Sample() (Sample, error) { return Sample{}, errors.ErrUnsupported }

// Sockets lists TCP sockets.
func (*Witness) Sockets(uint32, func(*Socket)) error { return errors.ErrUnsupported }

// NetNS is the number of the namespace.
func (*Witness) NetNS() uint32 { return 0 }

// LocalAddrs returns the addresses that the namespace has now.
func (*Witness) LocalAddrs() (map[tcpstate.Addr]bool, error) { return nil, errors.ErrUnsupported }

// Close releases what Witness holds.
func (*Witness) Close() error { return nil }
