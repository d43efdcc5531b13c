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
	x, err := newFrameWriter(w, r.about(f), r.Snaplen, named(r.Name))
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
	snaplen int                                    // to cut frames to; 0: whole
	about   func(index uint32) (name, what string) // what an interface is; nil: it is not known
}

// newFrameWriter begins a capture, of which comments say what it is.
func newFrameWriter(w io.Writer, comments []string, snaplen int, about func(uint32) (name, what string)) (*frameWriter, error) {
	x, err := capture.NewWriter(w, capture.Section{Application: "connrace", Comments: comments})
	return &frameWriter{x, map[link]uint32{}, snaplen, about}, err
}

// named are interfaces of which nothing but the name is known.
func named(name func(uint32) string) func(uint32) (name, what string) {
	if name == nil {
		return nil
	}
	return func(i uint32) (string, string) { return name(i), "" }
}

// id is the number of an interface, which is declared when it is new.
func (x *frameWriter) id(k link) (id uint32, err error) {
	id, known := x.links[k]
	if known {
		return id, nil
	}
	i := capture.Interface{LinkType: k.kind, Snaplen: uint32(x.snaplen), Resolution: 9}
	if x.about != nil {
		i.Name, i.Description = x.about(k.iface)
	}
	if id, err = x.w.AddInterface(i); err == nil {
		x.links[k] = id
	}
	return id, err
}

func (x *frameWriter) write(f *capture.Frame, comments []string) error {
	id, err := x.id(link{f.Interface, f.LinkType})
	if err != nil {
		return err
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
