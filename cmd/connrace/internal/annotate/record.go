package annotate

import (
	"fmt"
	"io"

	"connrace/capture"
	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

// Record is the capture of one finding, made of packets that are at hand.
type Record struct {
	Analysis *report.Analysis
	Finding  *detect.Finding
	Source   string          // what the packets were captured from
	Frames   []capture.Frame // in order; of the connections concerned
	Oldest   uint64          // frames before this one were not at hand; 0: all were
	Snaplen  int             // to cut packets to; 0: whole
	// Name is what an interface is called.
	Name func(index uint32) string
}

// link is an interface as a capture declares it.
type link struct {
	iface uint32
	kind  capture.LinkType
}

// Write writes the capture, commented. It returns the frame numbers there of the finding's
// evidence, by those that the finding names.
func (r *Record) Write(w io.Writer) (numbers map[uint64]uint64, err error) {
	f := finding{r.Finding, r.Analysis}
	numbers = map[uint64]uint64{}
	place := map[uint64]uint64{}
	for i := range r.Frames {
		place[r.Frames[i].Number] = uint64(i + 1)
	}
	comments := map[uint64][]string{}
	here := func(e *detect.Evidence) uint64 { return place[e.Frame] }
	for i := range f.Evidence {
		e := &f.Evidence[i]
		if n := here(e); n != 0 {
			numbers[e.Frame] = n
			comments[e.Frame] = append(comments[e.Frame], fmt.Sprintf("%s; frame %d of %s", f.comment(i, here), e.Frame, text.Clean(r.Source)))
		}
	}
	if e := f.IdleFrom; e != nil && here(e) != 0 {
		numbers[e.Frame] = here(e)
	}
	x, err := newFrameWriter(w, r.about(f), r.Snaplen, r.Name)
	if err != nil {
		return nil, err
	}
	for i := range r.Frames {
		if err := x.write(&r.Frames[i], comments[r.Frames[i].Number]); err != nil {
			return nil, err
		}
	}
	return numbers, nil
}

// frameWriter writes frames of interfaces.
type frameWriter struct {
	w       *capture.Writer
	links   map[link]uint32
	snaplen int                       // to cut frames to; 0: whole
	name    func(index uint32) string // nil: it is not known
}

func newFrameWriter(w io.Writer, about []string, snaplen int, name func(uint32) string) (*frameWriter, error) {
	x, err := capture.NewWriter(w, capture.Section{Application: "connrace", Comments: about})
	return &frameWriter{x, map[link]uint32{}, snaplen, name}, err
}

func (x *frameWriter) write(f *capture.Frame, comments []string) (err error) {
	k := link{f.Interface, f.LinkType}
	id, known := x.links[k]
	if !known {
		i := capture.Interface{LinkType: f.LinkType, Snaplen: uint32(x.snaplen), Resolution: 9}
		if x.name != nil {
			i.Name = x.name(f.Interface)
		}
		if id, err = x.w.AddInterface(i); err != nil {
			return err
		}
		x.links[k] = id
	}
	data := f.Data
	if x.snaplen > 0 {
		data = data[:min(len(data), x.snaplen)]
	}
	return x.w.Packet(&capture.Packet{
		Interface: id, Time: f.Time, Data: data, Length: f.Length, Flags: uint32(f.Direction), Comments: comments,
	})
}

// about is what the capture says of itself.
func (r *Record) about(f finding) []string {
	cs := f.about()
	missing := 0
	for i := range f.Evidence {
		if f.Evidence[i].Frame < r.Oldest {
			missing++
		}
	}
	line := fmt.Sprintf("from %s, whose frame numbers these are: %s", text.Clean(r.Source), f.DisplayFilter())
	if r.Oldest > 1 {
		line += fmt.Sprintf("; what came before frame %d was no longer in memory", r.Oldest)
	}
	if missing > 0 {
		line += fmt.Sprintf(", %s of the evidence among it", text.Plural(uint64(missing), "segment"))
	}
	return append(cs, line)
}
