// Package pcaps holds the project's captures: scripts, which describe a capture in text
// that reads like a transcript of tcpdump, their compiler to frames and segments, and a
// few real captures. All are embedded, so that every package's tests share one corpus.
//
// # Scripts
//
// A script begins with what it is about, then come sections:
//
//	# The keep-alive race, captured at the target: neither had seen the other's segment.
//	-- hosts --
//	lb     10.0.0.2:41000 isn 4294967290
//	target 10.0.1.9:8080  isn 7
//	-- packets --
//	0.000000 lb > target  S  0:0(0)
//	0.000100 target > lb  S. 0:0(0) ack 1
//	0.000200 lb > target  .  1:1(0) ack 1
//	5.000000 target > lb  F. 1:1(0) ack 1
//	5.000010 lb > target  P. 1:101(100) ack 1   # want fin-request-crossing
//	5.000100 target > lb  R  1:1(0)
//
// A host is one end of connections: name, address and port, and
//
//	isn N    its initial sequence number (0)
//	ts N     it sends the timestamps option on all but reply RSTs: N plus the
//	         milliseconds since the start; it echoes the newest TSval of the other side's
//	         that its acknowledgment number covers
//
// Two hosts may have the same address and port: incarnations of one endpoint with
// sequence numbers of their own, for port reuse.
//
// A packet is: time in seconds since the start, sender > receiver, flags as tcpdump writes
// them, seq:end(len), and
//
//	ack N            needed with the ACK flag, and only then
//	win N            as in the header (65535; 0 for a reply RST)
//	mss N, wscale N, sackOK, ts VAL ECR, nots (although the host has timestamps)
//	ipid N           else it counts up for each sender; 0 for reply RSTs
//	ttl N            time to live, or hop limit (64)
//	len N            asserts the length of the frame
//	frame N          its number in the file, fillers go in front of it (see below)
//	icmp NAME HOST   the frame is an ICMP error by that host about a packet that came before,
//	                 of which the line has sender, receiver, flags and numbers: too-big, with
//	                 mtu N behind it, net-, host-, port-unreachable, prohibited, time-exceeded
//	"text"           the payload, quoted as in Go
//	"text"...        the payload's beginning; x fills it up. Without text all is x
//
// Numbers are relative: each side's count from its isn, so that SYN is 0 and the first
// octet of data is 1; ack counts from the receiver's isn.
//
// What follows # is a comment, but "# want" on a packet or a host is an expectation:
//
//	# want RULE [SEVERITY] [CONFIDENCE] [KEY=VALUE …] [; comment]
//
// It asserts a finding whose decisive segment is this packet, or, on a host, one about
// this listener as a whole. What has no want asserts silence: a test compares all
// findings. The decisive segment of a rule is listed in README.md.
//
// Two more sections may stand before hosts, respectively packets:
//
//	-- capture --
//	start 2019-01-26T00:00:00Z    absolute time of 0 (2024-01-01T00:00:00Z)
//	link ethernet                 or raw, null, sll, sll2
//	vlan 100                      an 802.1Q tag (ethernet only)
//	pad                           frames of at least 60 bytes, as on Ethernet
//	snaplen 96                    captured bytes of each frame; headers: all but the payload
//	-- options --
//	framing                       the wants need HTTP framing: without payload they do not hold
//	lb-idle-timeout 60s           flags of the command under which the wants hold
//	target NAME
//	lb NAME
//	filler NAME > NAME            a connection whose packets fill gaps in frame numbers
//
// A filler connection is healthy traffic: a handshake, then requests that are answered and
// acknowledged. Several take turns.
package pcaps
