package capture

import (
	"encoding/binary"
	"math/bits"
)

// starts wants three blocks in a row, or fewer that end with the file, the first of a known
// type. It does not count on their alignment: bytes may be missing.
func (p *pcapng) starts(b []byte, ended bool) bool {
	swap := p.swap
	for n := range 3 {
		if len(b) < blockMin {
			return n >= 2 || n == 1 && ended && len(b) == 0
		}
		kind, total, order, ok := blockHeader(b, swap)
		if !ok || total < minLen(kind) || total > blockPlausible || n == 0 && !p.knows(kind) {
			return false
		}
		if int64(len(b)) < total {
			return n >= 2
		}
		again := binary.LittleEndian.Uint32(b[total-4:])
		if order {
			again = bits.ReverseBytes32(again)
		}
		if (int64(again)+3)&^3 != total {
			return false
		}
		swap = order
		b = b[total:]
	}
	return true
}

// knows tells the types that a search accepts as a beginning.
func (p *pcapng) knows(kind uint32) bool {
	switch kind {
	case blockSection, blockInterface, blockPacket, blockSimple, blockNames, blockStatistics,
		blockEnhanced, blockJournal, blockSecrets, blockCustom, blockCustomKeep:
		return true
	}
	return false
}
