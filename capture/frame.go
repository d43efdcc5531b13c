package capture

// LinkType is a LINKTYPE_ value as files carry it (pcap-linktype(7)).
type LinkType uint16

// Frame is one record of a capture.
type Frame struct {
	Number   uint64 // Wireshark's frame.number, from 1
	Time     int64  // ns since the Unix epoch; 0 where the record has no time
	Offset   int64  // of the record in the uncompressed file
	Length   uint32 // bytes on the wire, at least len(Data)
	LinkType LinkType
	// NoPacket: a record that Wireshark numbers but that holds no packet (a systemd
	// journal entry, a custom block). Data is nil.
	NoPacket bool
	// AfterGap: damage in front of this record was skipped (ReadOptions.Resync), or the
	// kernel dropped packets there (Live).
	AfterGap bool
	// Direction and Interface, the system's index of it, are known of live capture only.
	Direction Direction
	Interface uint32
	Data      []byte
}

// Direction says which way a frame went, as pcapng's epb_flags do.
type Direction uint8

// The directions.
const (
	DirectionUnknown Direction = iota
	Inbound
	Outbound
)

// Source yields frames in order.
type Source interface {
	// Read fills batch with the next frames and returns how many it filled, at least
	// one unless err is non-nil. The frames' Data stays valid until the next Read.
	// At a clean end it returns 0, io.EOF. Where a file is cut off or damaged, all
	// frames before the damage are returned first, then 0 and a *DamageError.
	Read(batch []Frame) (int, error)
}
