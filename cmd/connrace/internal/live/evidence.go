package live

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"connrace/capture"
	"connrace/cmd/connrace/internal/annotate"
	"connrace/cmd/connrace/internal/outfile"
	"connrace/cmd/connrace/internal/recorder"
	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

// evidence keeps the newest packets, and writes those of findings to files.
type evidence struct {
	ring    *recorder.Ring
	store   *recorder.Store // nil: no --evidence, only --annotate
	queue   *recorder.Queue // to the store
	streams []streamOf      // of the frames being taken
	written uint64          // files
	failed  uint64          // files that could not be

	// What is being written is shown meanwhile. Of that it is known what to show again if it
	// comes to be otherwise.
	pending map[int]*detect.Finding
	closed  bool // all that waited is written

	// A finding is settled seconds after it was decided. Its packets are held meanwhile, for
	// the ring may go round in that time.
	decided []*detect.Finding
	held    map[*detect.Finding]recording
	octets  int // of these
	room    int // for them
}

// streamOf says which stream a frame belongs to.
type streamOf struct {
	frame  uint64
	stream uint32
}

// recording are the packets of a finding.
type recording struct {
	frames []capture.Frame
	oldest uint64 // what came before this frame was not at hand; 0: there was nothing
}

func openEvidence(v *evidenceFlags, m outfile.Umask) (*evidence, error) {
	if v.dir == "" {
		return &evidence{ring: recorder.NewRing(int(v.memory))}, nil
	}
	store, err := recorder.OpenStore(v.dir, recorder.Limit(v.max), m)
	if err != nil {
		return nil, err
	}
	const share = 8
	room := int(v.memory) / share
	return &evidence{
		ring: recorder.NewRing(int(v.memory) - 2*room), store: store, queue: recorder.NewQueue(store, room),
		pending: map[int]*detect.Finding{}, held: map[*detect.Finding]recording{}, room: room,
	}, nil
}

// remarks are what to know of the directory from the beginning.
func (v *evidence) remarks(dir string) (texts []string) {
	if err := v.store.Doubt; err != nil {
		texts = append(texts, fmt.Sprintf("%s: the index of earlier files is not believed: %v; no file in it will be removed but those of this run", dir, err))
	}
	if f := v.store.Foreign; f.Files > 0 {
		texts = append(texts, fmt.Sprintf("%s has %s that connrace did not write or does not know any more (%q ...): they stay, and do not count for --evidence-max",
			dir, text.Plural(uint64(f.Files), "capture"), f.First))
	}
	return texts
}

// counts are how many files were written, and how many could not be.
func (v *evidence) counts() (written, failed uint64) {
	if v == nil {
		return 0, 0
	}
	return v.written, v.failed
}

// segment notes a frame's stream; of several segments in a frame the first counts.
func (v *evidence) segment(frame uint64, stream uint32) {
	if n := len(v.streams); n == 0 || v.streams[n-1].frame != frame {
		v.streams = append(v.streams, streamOf{frame, stream})
	}
}

// frames adds the frames whose streams were noted to the ring.
func (v *evidence) frames(fs []capture.Frame) {
	i := 0
	for _, s := range v.streams {
		for i < len(fs) && fs[i].Number < s.frame {
			i++
		}
		if i < len(fs) && fs[i].Number == s.frame {
			v.ring.Add(&fs[i], s.stream)
		}
	}
	v.streams = v.streams[:0]
}

// maxRecorded bounds the packets of one finding.
const maxRecorded = 1 << 16

// gather finds the packets of a finding, from behind those that are held of it. The
// frames' Data belongs to the ring.
func (v *evidence) gather(f *detect.Finding) recording {
	var r recording
	after := uint64(0)
	if h, held := v.held[f]; held {
		r = recording{slices.Clone(h.frames), h.oldest}
		after = h.frames[len(h.frames)-1].Number
	} else if r.oldest = v.ring.Oldest(); r.oldest == 1 {
		r.oldest = 0
	}
	for _, stream := range f.Streams() {
		n := 0
		v.ring.Back(stream, func(x capture.Frame) bool {
			if n++; x.Number <= after || n > maxRecorded {
				return false
			}
			r.frames = append(r.frames, x)
			return true
		})
	}
	slices.SortFunc(r.frames, func(a, b capture.Frame) int { return cmp.Compare(a.Number, b.Number) })
	if more := len(r.frames) - maxRecorded; more > 0 {
		r.frames = r.frames[more:]
		r.oldest = r.frames[0].Number
	}
	return r
}

// shorten leaves out the oldest packets until the rest fit into a file of a size.
func (r *recording) shorten(size int) {
	const (
		block = 100     // of a packet, besides its bytes
		about = 4 << 10 // what else is in the file
	)
	n, i := about, len(r.frames)
	for ; i > 0; i-- {
		if n += len(r.frames[i-1].Data) + block; n > size {
			break
		}
	}
	if i > 0 && i < len(r.frames) {
		r.frames = r.frames[i:]
		r.oldest = r.frames[0].Number
	}
}

// holdPackets keeps the packets of findings that have just been decided, if they will be shown and
// there is room.
func (w *watch) holdPackets(now time.Time) {
	v := w.evidence
	if v == nil || len(v.decided) == 0 {
		return
	}
	for _, f := range v.decided {
		if !w.shows(f) || !w.limiter.would(f, now) || v.octets >= v.room {
			continue
		}
		r, n := v.gather(f), 0
		for i := range r.frames {
			n += len(r.frames[i].Data)
		}
		if len(r.frames) == 0 || v.octets+n > v.room {
			continue
		}
		for i := range r.frames {
			r.frames[i].Data = bytes.Clone(r.frames[i].Data)
		}
		v.held[f] = r
		v.octets += n
	}
	v.decided = v.decided[:0]
}

// release gives up what is held of a finding.
func (v *evidence) release(f *detect.Finding) {
	for _, x := range v.held[f].frames {
		v.octets -= len(x.Data)
	}
	delete(v.held, f)
}

// recordPackets writes the packets of findings to files of their own.
func (w *watch) recordPackets(fs []*detect.Finding) {
	v := w.evidence
	if v == nil || v.store == nil || v.closed {
		return
	}
	for _, f := range fs {
		if r := v.gather(f); len(r.frames) > 0 {
			w.put(f, r)
		}
	}
}

// put lets the file of a finding be written.
func (w *watch) put(f *detect.Finding, x recording) {
	v := w.evidence
	x.shorten(v.queue.Room())
	r := annotate.Record{
		Analysis: w.analysis, Finding: f, Source: w.name, Frames: x.frames, Oldest: x.oldest,
		Snaplen: w.o.evidence.snaplen, Name: w.src.InterfaceName,
	}
	stream := f.Stream
	if !f.HasStream {
		stream = f.Streams()[0]
	}
	var b bytes.Buffer
	numbers, err := r.Write(&b)
	var path string
	if err == nil {
		path, err = v.queue.Put(f.ID, fmt.Sprintf("%s-%d", f.Rule.ID, stream), b.Bytes())
	}
	if err != nil {
		w.unwritten(err)
		return
	}
	v.pending[f.ID] = f
	files := w.analysis.Files
	files[f.ID] = &report.EvidenceFile{Path: path, Frames: numbers}
	if len(files) > 2*idsKept {
		maps.DeleteFunc(files, func(id int, _ *report.EvidenceFile) bool { return id <= f.ID-idsKept })
	}
}

func (w *watch) unwritten(err error) {
	w.evidence.failed++
	w.warnOnce("evidence is not written: ", err)
}

// filed notes what became of the files that were to be written, and returns the findings of
// which something else was shown.
func (w *watch) filed() (again []*detect.Finding) {
	v := w.evidence
	if v == nil || v.queue == nil {
		return nil
	}
	for _, x := range v.queue.Written() {
		f, file := v.pending[x.ID], w.analysis.Files[x.ID]
		delete(v.pending, x.ID)
		switch {
		case x.Err != nil:
			w.unwritten(x.Err)
			delete(w.analysis.Files, x.ID)
		case file != nil && file.Path != x.Path:
			v.written++
			w.warn(fmt.Sprintf("%s is not connrace's: the packets of #%d are in %s", file.Path, w.analysis.FirstID+x.ID, x.Path))
			file.Path = x.Path
		default:
			v.written++
			continue
		}
		if w.Lines != nil {
			again = append(again, f)
		}
	}
	return again
}

// close writes what waits; it does nothing the second time.
func (v *evidence) close() {
	if v != nil && v.queue != nil && !v.closed {
		v.closed = true
		v.queue.Close()
		v.store.Close()
	}
}

// annotateKept writes what is still in memory, with comments.
func (w *watch) annotateKept() error {
	name := w.o.evidence.annotate
	if name == "" {
		return nil
	}
	k := annotate.Kept{
		Report: &w.Report, Shown: &w.Shown, Source: w.name, Name: w.src.InterfaceName,
		Each: w.evidence.ring.Each,
	}
	frames, commented, err := k.Write(w.annotated.Writer())
	if err == nil {
		err = w.annotated.Commit()
	}
	if err != nil {
		return text.AtPath(name, err)
	}
	w.warn(fmt.Sprintf("%s: %s with headers and bodies, %s of them with a comment; handle with care",
		name, text.Plural(uint64(frames), "packet"), text.Grouped(uint64(commented))))
	return nil
}
