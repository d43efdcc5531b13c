package tcpstate_test

import (
	"fmt"
	"net/netip"

	"connrace/tcpstate"
)

// A load balancer sends a request, and the target closes without having received it.
func Example() {
	lb := tcpstate.EndpointFrom(netip.MustParseAddrPort("10.0.0.2:41000"))
	target := tcpstate.EndpointFrom(netip.MustParseAddrPort("10.0.1.9:8080"))

	var cfg tcpstate.Config
	var tracker *tcpstate.Tracker
	cfg.On(tcpstate.RequestBegan, func(e *tcpstate.Event) {
		fmt.Printf("frame %d: a request\n", e.Seg.Frame)
	})
	cfg.On(tcpstate.CloseBegan, func(e *tcpstate.Event) {
		request := tracker.Request(e.Flow)
		sender := &e.Flow.Half[e.Side]
		fmt.Printf("frame %d: a close; its sender had received the request: %v\n", e.Seg.Frame, sender.HadReceived(request.Seq))
	})
	tracker = tcpstate.NewTracker(cfg)

	for i, s := range []tcpstate.Segment{
		{Src: lb, Dst: target, Flags: tcpstate.SYN, Seq: 100},
		{Src: target, Dst: lb, Flags: tcpstate.SYN | tcpstate.ACK, Seq: 900, Ack: 101},
		{Src: lb, Dst: target, Flags: tcpstate.ACK, Seq: 101, Ack: 901},
		{Src: lb, Dst: target, Flags: tcpstate.PSH | tcpstate.ACK, Seq: 101, Ack: 901, Len: 18, Payload: []byte("GET / HTTP/1.1\r\n\r\n")},
		{Src: target, Dst: lb, Flags: tcpstate.FIN | tcpstate.ACK, Seq: 901, Ack: 101},
	} {
		s.Frame, s.Time = uint64(i+1), int64(i+1)*1e6
		tracker.Track(&s)
	}
	tracker.End()
	// Output:
	// frame 4: a request
	// frame 5: a close; its sender had received the request: false
}
