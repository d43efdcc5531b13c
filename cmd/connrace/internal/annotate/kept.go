package annotate

import (
	"bufio"
	"fmt"
	"io"

	"connrace/capture"
	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

// Kept is a capture of the packets that are still at hand, whatever they belong to.
type Kept struct {
	Report *report.Report
	Shown  *report.Options
	Source string // what the packets were captured from
	// Each calls a function with each packet, in order.
	Each func(func(*capture.Frame))
	// Name is what an interface is called.
	Name func(index uint32) string
}

// Write writes the capture, with a comment on each frame of evidence of the findings that
// are shown. It returns how many frames there are, and how many of them have one.
func (k *Kept) Write(w io.Writer) (frames, commented int, err error) {
	place := map[uint64]uint64{} // here, of evidence
	for f := range shown(k.Report, k.Shown) {
		for i := range f.Evidence {
			place[f.Evidence[i].Frame] = 0
		}
	}
	first, last := uint64(0), uint64(0)
	k.Each(func(f *capture.Frame) {
		if frames++; frames == 1 {
			first = f.Number
		}
		last = f.Number
		if _, is := place[f.Number]; is {
			place[f.Number] = uint64(frames)
		}
	})
	source := text.Clean(k.Source)
	here := func(e *detect.Evidence) uint64 { return place[e.Frame] }
	comments := Comments{}
	for f := range shown(k.Report, k.Shown) {
		for i := range f.Evidence {
			if e := &f.Evidence[i]; here(e) != 0 {
				comments[e.Frame] = append(comments[e.Frame], fmt.Sprintf("%s; frame %d of %s", f.comment(i, here), e.Frame, source))
			}
		}
	}
	about := fmt.Sprintf("what was in memory of %s when it was no longer watched: of frames %d to %d those with TCP segments", source, first, last)
	b := bufio.NewWriterSize(w, 1<<16)
	x, err := newFrameWriter(b, []string{about}, 0, named(k.Name))
	if err != nil {
		return 0, 0, err
	}
	k.Each(func(f *capture.Frame) {
		if err == nil {
			err = x.write(f, comments[f.Number])
		}
	})
	if err != nil {
		return 0, 0, err
	}
	return frames, len(comments), b.Flush()
}
