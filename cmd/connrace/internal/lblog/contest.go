package lblog

import "connrace/detect"

// Wait is whose wait it was that ended before an answer.
type Wait uint8

// The waits. WaitUnsaid: the entry tells of something else, or does not say.
const (
	WaitUnsaid Wait = iota
	WaitOfClient
	WaitOfLB
)

// WhoseWait is whose wait an entry says that it was.
func (e *Entry) WhoseWait() Wait {
	switch {
	case e.Failure == ClientGone:
		return WaitOfClient
	case e.Failure == ReadTimeout, e.Failure == Unsaid && e.Status == 504:
		return WaitOfLB
	}
	return WaitUnsaid
}

// contradict reports whether only one of two entries says that the client went away.
func contradict(a, b *slot) bool {
	return (a.WhoseWait() == WaitOfClient) != (b.WhoseWait() == WaitOfClient)
}

// contest notes of entries that were joined by a key which findings others fit by the same key, and as well in time, that say
// otherwise whose wait it was. Which of them it is, is not known then: the order of the log's lines shall not decide it.
func (j *Joiner) contest(by Key, slots []*slot, tries []*try) {
	for _, s := range slots {
		for t := range j.around(tries, s.Entry, pathLevels[len(pathLevels)-1]) {
			o := t.owner
			if t.Rule.Learnt != detect.ByOwnClose || o == nil || o == s || o.try != t || o.by != by || o.contested || o.WhoseWait() == s.WhoseWait() {
				continue
			}
			if d, ok := j.distance(s.Entry, t, by); ok && d <= max(o.level, t.blur) {
				o.contested = true
			}
		}
	}
}
