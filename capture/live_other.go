//go:build !linux

package capture

import (
	"errors"
	"fmt"
)

// Live captures from interfaces, on Linux.
type Live struct{}

// OpenLive says what to do instead.
func OpenLive(LiveOptions) (*Live, error) {
	return nil, fmt.Errorf("live capture is for Linux only; here, pipe tcpdump: tcpdump -i IFACE -U -w - tcp | connrace analyze -: %w", errors.ErrUnsupported)
}

// Read implements Source.
func (*Live) Read([]Frame) (int, error) { return 0, errors.ErrUnsupported }

// Wake makes Read return if it waits.
func (*Live) Wake() {}

// Stop ends the capture.
func (*Live) Stop() {}

// Stats returns what Read has met so far.
func (*Live) Stats() LiveStats { return LiveStats{} }

// Info returns what is known of the capture so far.
func (*Live) Info() Info { return Info{} }

// InterfaceName is the name of the interface that frames have the index of.
func (*Live) InterfaceName(uint32) string { return "" }

// Close releases what Live holds.
func (*Live) Close() error { return nil }
