// Package capture reads packets, from files or from interfaces, and decodes them to TCP
// segments. It decides nothing about connections: that is for tcpstate and detect.
//
// # How a frame becomes a segment
//
//	File.Read or Live.Read    a batch of Frames: number, time, link type, captured bytes
//	  └ Decoder.Decode        peek: Ethernet, IP and TCP at fixed offsets, nearly all frames
//	      └ link              else header by header: the link header (link_*.go),
//	        └ ip, ipProto     IP, its extensions, fragments (decode_*.go)
//	          └ tunnel        other packets inside (tunnel_*.go), back to link or ip
//	          └ segment       a tcpstate.Segment
//
// A File finds out what compression and format its input has and reads it through a window,
// a buffer of bounded size into which frames point: reading allocates nothing per packet. A
// Live maps a ring of packets that it shares with the kernel. Both count what is missing and
// mark the first frame behind it (Frame.AfterGap).
//
// Frames and streams have the numbers that Wireshark gives them, because findings cite them.
// So the Decoder follows Wireshark's choices, also where they are odd, and comments name the
// function of Wireshark that is followed.
//
// Captures are hostile input. A bad file is a *DamageError with offset and frame; the frames
// before it are delivered first. A bad packet is a frame without a segment, counted by reason
// (Decoder.Skipped). No length in a file decides alone how much memory is allocated.
//
// # The files of the package
//
//	frame.go   Frame and Source, what everything else produces
//	read_*     files: File, its window, pcap, pcapng, snoop, compression, damage; Places and
//	           Contents, by which only some frames are read once more
//	decode*    Decoder, IP, TCP and what lies between them
//	link_*     link headers
//	tunnel_*   packets inside packets
//	live_*     Live, its ring, filters for the kernel, namespaces, copies on other interfaces
//	kernel_*   Witness: what the kernel says of listeners and their queues
//	write_*    pcapng Writer, and copies of captures with comments (Annotate)
//
// # How to add a link type
//
//  1. link.go: a constant with its LINKTYPE_ value, and a line in links, whose bound is the
//     highest of them. Files with one that is not within opened are refused.
//  2. A method of Decoder in the link_*.go of its family that skips the header with d.past,
//     which notes it where too few bytes were captured, and ends in d.etherType, d.ip or
//     another link type. Cite the document that describes the header.
//  3. decode_encapsulations_test.go: a row in encapsulations. It is then tested whole and cut off at every
//     byte, and FuzzDecode and FuzzPeek begin with it. Compare the segment with tshark's.
//
// # How to add a file format
//
//  1. read_NAME.go: a container with next (frames out of the window), starts (whether records
//     go on there, behind damage), fill (what Info tells), and clone and learnt (so that reading can go
//     on in the middle). Check lengths before they are used.
//  2. File.open: a case for its magic number; read_foreign.go: take the format out if it is
//     there.
//  3. Annotate: a case, so that commented copies can be made of it.
//  4. read_builders_test.go: a builder for such files; tests for what is particular to it;
//     seeds for FuzzFile and FuzzAnnotate.
package capture
