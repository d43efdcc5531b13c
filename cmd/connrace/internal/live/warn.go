package live

import (
	"errors"
	"fmt"
	"time"

	"connrace/cmd/connrace/internal/confine"
	"connrace/cmd/connrace/internal/text"
)

// warn warns.
func (w *watch) warn(line string) {
	w.status.Clear()
	w.Warn(line)
}

// maxNotes bounds what the report says of the capture.
const maxNotes = 100

// note warns of what may have hidden something, and keeps that for the report.
func (w *watch) note(line string) {
	w.warn(line)
	if len(w.notes) < maxNotes {
		w.notes = append(w.notes, time.Now().In(w.o.Location()).Format(time.DateTime)+" "+line)
	}
}

// warnAgainAfter is how often the same trouble is warned of.
const warnAgainAfter = 10 * time.Minute

// warnOnce warns, once in a while, of trouble that does not end the watch; nil is none.
func (w *watch) warnOnce(what string, err error) {
	if err == nil {
		return
	}
	now, same := time.Now(), what+reason(err)
	if at, known := w.troubles[same]; known && now.Sub(at) < warnAgainAfter {
		return
	}
	if len(w.troubles) >= maxNotes {
		clear(w.troubles)
	}
	w.troubles[same] = now
	w.note(what + confine.Explain(err).Error())
}

// reason is what is at the bottom of an error, without the names of files.
func reason(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// dropNews are dropped packets that have not been told of.
type dropNews struct {
	told uint64
	at   time.Time
}

func (d *dropNews) news(drops uint64, now time.Time) (n uint64, ok bool) {
	if drops == d.told || now.Sub(d.at) < 10*time.Second {
		return 0, false
	}
	n = drops - d.told
	d.told, d.at = drops, now
	return n, true
}

// sayDrops warns of dropped packets; the report counts them.
func (w *watch) sayDrops(n uint64) {
	w.warn(fmt.Sprintf("the kernel dropped %s: the ring was full (--ring, --snaplen and --target make room)", text.Plural(n, "packet")))
}
