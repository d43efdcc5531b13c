package capture

import (
	"net"

	"connrace/tcpstate"
)

// LocalAddrs returns the addresses that a network namespace has, see LiveOptions.NetNS.
// Each of 127.0.0.0/8 is local, too.
func LocalAddrs(netNS string) (map[tcpstate.Addr]bool, error) {
	local := map[tcpstate.Addr]bool{}
	err := inNetNS(netNS, func() error {
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
