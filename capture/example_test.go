package capture_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"

	"connrace/capture"
	"connrace/pcaps"
	"connrace/tcpstate"
)

// From a file to segments. Batches and segments are reused, so that reading allocates
// nothing per packet.
func Example() {
	data, err := pcaps.File("crowder.pcap")
	if err != nil {
		log.Fatal(err)
	}
	f, err := capture.NewFile("crowder.pcap", bytes.NewReader(data), capture.ReadOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()

	decoder := capture.NewDecoder()
	batch := make([]capture.Frame, 64)
	var segments []tcpstate.Segment
	for {
		n, err := f.Read(batch)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		for i := range batch[:n] {
			segments = decoder.Decode(&batch[i], segments[:0])
			for _, s := range segments {
				if s.Flags.Has(tcpstate.RST) {
					fmt.Printf("frame %d: %v > %v %v seq %d\n", s.Frame, s.Src, s.Dst, s.Flags, s.Seq)
				}
			}
		}
	}
	info := f.Info()
	fmt.Println(info.Format, info.Frames, "frames, skipped", decoder.Skipped())
	// Output:
	// frame 289: 10.1.246.132:5005 > 10.1.67.138:51842 R seq 1493506095
	// frame 291: 10.1.246.132:5005 > 10.1.67.138:51842 R seq 1493506096
	// pcap 291 frames, skipped map[]
}
