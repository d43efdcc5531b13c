package capture

import (
	"net"

	"connrace/tcpstate"
)

// LocalAddrs returns the addresses that the namespace has now. Each of 127.0.0.0/8 is
// local, too.
func (w *Witness) LocalAddrs() (map[tcpstate.Addr]bool, error) {
	local := map[tcpstate.Addr]bool{}
	err := w.ns.run(func() error {
		all, err := net.InterfaceAddrs()
		for _, a := range all {
			if n, ok := a.(*net.IPNet); ok {
				local[tcpstate.Addr16(n.IP.To16())] = true
			}
		}
		return err
	})
	return local, err
}
