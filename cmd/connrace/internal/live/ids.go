package live

// idSet remembers what became of the newest findings.
type idSet struct {
	fate map[int]fate
	ring []int
	next int
}

type fate uint8

const (
	isUnknown    fate = iota
	isHidden          // by the flags
	isSuppressed      // there were too many of its kind
	isShown
)

const idsKept = 1 << 12

func newIDSet() *idSet { return &idSet{fate: map[int]fate{}} }

func (s *idSet) get(id int) fate { return s.fate[id] }

func (s *idSet) set(id int, f fate) {
	if _, known := s.fate[id]; !known {
		if len(s.ring) < idsKept {
			s.ring = append(s.ring, id)
		} else {
			delete(s.fate, s.ring[s.next])
			s.ring[s.next] = id
			s.next = (s.next + 1) % idsKept
		}
	}
	s.fate[id] = f
}
