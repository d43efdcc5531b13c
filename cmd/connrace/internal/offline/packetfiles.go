package offline

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"connrace/capture"
	"connrace/cmd/connrace/internal/annotate"
	"connrace/cmd/connrace/internal/infile"
	"connrace/cmd/connrace/internal/outfile"
	"connrace/cmd/connrace/internal/pipeline"
	"connrace/cmd/connrace/internal/term"
	"connrace/cmd/connrace/internal/text"
)

// packetFlags are the flags that write packets out, which takes a second look at the
// captures.
type packetFlags struct {
	annotate string
	evidence string
	snaplen  int
}

func (p *packetFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&p.annotate, "annotate", "", "write the capture again as `FILE` (pcapng), with a comment on each\nframe of evidence; nothing else in it changes. Of several\ncaptures each is written: lb.pcap as FILE-lb.pcapng")
	fs.StringVar(&p.evidence, "evidence", "", "write for each finding all packets of its connections to a small\npcapng in `DIR`, which must have none of an earlier run; they hold\nheaders and bodies")
	fs.IntVar(&p.snaplen, "evidence-snaplen", 0, "cut those packets to `N` bytes (default: whole)")
}

// wrong is what is wrong with the use of the flags for these files; "": nothing.
func (p *packetFlags) wrong(files []string, stdin io.Reader) string {
	switch {
	case p.snaplen < 0 || p.snaplen > 1<<30:
		return "--evidence-snaplen must be a number of bytes"
	case p.snaplen > 0 && p.evidence == "":
		return "--evidence-snaplen needs --evidence DIR"
	case p.annotate == "-":
		return "--annotate needs the name of a file: standard output holds the report"
	}
	for _, to := range p.copies(files) {
		if slices.ContainsFunc(files, func(from string) bool { return pipeline.SameFile(from, to, stdin) }) {
			return "--annotate " + to + " is the capture itself; name another file"
		}
	}
	return ""
}

// copies are the files that --annotate writes, by the capture that each is a copy of.
func (p *packetFlags) copies(files []string) map[string]string {
	if p.annotate == "" {
		return nil
	}
	if len(files) == 1 {
		return map[string]string{files[0]: p.annotate}
	}
	ext := filepath.Ext(p.annotate)
	stem := strings.TrimSuffix(p.annotate, ext)
	of, taken := map[string]string{}, map[string]bool{}
	for _, path := range files {
		if of[path] != "" {
			continue
		}
		name := filepath.Base(path)
		if path == "-" {
			name = "stdin"
		}
		for _, known := range []string{".gz", ".zst", ".lz4", ".pcap", ".pcapng", ".cap", ".snoop"} {
			name = strings.TrimSuffix(name, known)
		}
		to := stem + "-" + name + ext
		for n := 2; taken[to]; n++ {
			to = fmt.Sprintf("%s-%s-%d%s", stem, name, n, ext)
		}
		of[path], taken[to] = to, true
	}
	return of
}

// source is an input that can be read again.
type source struct {
	path  string
	spool *spool            // of what was a stream; nil: it is a file
	stdin *io.SectionReader // standard input that is a file; nil: it is none
}

// open opens the input again. release is to be called behind the last Read.
func (c *source) open(o capture.ReadOptions) (f *capture.File, release func(), err error) {
	switch {
	case c.spool != nil:
		f, err = c.spool.open(c.path, o)
		return f, func() {}, err
	case c.stdin != nil:
		f, err = capture.NewFile(c.path, io.NewSectionReader(c.stdin, 0, c.stdin.Size()), o)
		return f, func() {}, err
	}
	h, err := infile.OpenRegular(c.path)
	if err != nil {
		return nil, nil, err
	}
	if f, err = capture.NewFile(c.path, h, o); err != nil {
		h.Close()
	}
	return f, func() { h.Close() }, err
}

func (c *source) close() {
	if c != nil && c.spool != nil {
		c.spool.close()
	}
}

// spool is a copy of a stream in a temporary file.
type spool struct {
	r   io.Reader
	h   *os.File
	err error // of writing
}

func (s *spool) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if s.err == nil {
		_, s.err = s.h.Write(p[:n])
	}
	return n, err
}

func (s *spool) open(name string, o capture.ReadOptions) (*capture.File, error) {
	if s.err != nil {
		return nil, fmt.Errorf("keeping %s: %w", name, s.err)
	}
	if _, err := s.h.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return capture.NewFile(name, s.h, o)
}

func (s *spool) close() {
	s.h.Close()
	os.Remove(s.h.Name())
}

// keep lets a stream be read again later if that will be needed.
func (s *session) keep(path string, r io.Reader) (io.Reader, error) {
	i := len(s.Report.Captures)
	if _, regular := r.(*os.File); !regular && s.flags.packets.annotate == "" && s.flags.packets.evidence == "" && !s.Connections {
		s.once[i] = true
		return r, nil
	}
	s.sources[i].close() // of an input that was none
	c := &source{path: path}
	s.sources[i] = c
	if h, ok := r.(*os.File); ok { // a regular file, see stream
		at, err := h.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		c.stdin = io.NewSectionReader(h, at, 1<<62-at)
		return r, nil
	}
	h, err := os.CreateTemp("", "connrace-*")
	if err != nil {
		return nil, fmt.Errorf("keeping %s: %w", path, err)
	}
	os.Remove(h.Name()) // where the system lets us; see close
	c.spool = &spool{r: r, h: h}
	return c.spool, nil
}

// preparePackets makes sure that what the flags ask for can be written.
func (s *session) preparePackets() (err error) {
	s.sources = map[int]*source{}
	if dir := s.flags.packets.evidence; dir != "" {
		if st, err := os.Stat(dir); err == nil && !st.IsDir() {
			return fmt.Errorf("%s: is not a directory", dir)
		}
		switch earlier, err := annotate.Earlier(dir); {
		case err != nil:
			return text.AtPath(dir, err)
		case len(earlier) > 0:
			return fmt.Errorf("%s: has evidence of an earlier run (%s); name another directory, or remove it", dir, andMore(earlier))
		}
	}
	copies := s.flags.packets.copies(s.flags.files)
	for _, to := range slices.Sorted(maps.Values(copies)) {
		out, err := outfile.Create(to, outfile.Umask(s.flags.Umask))
		if err != nil {
			return err
		}
		if len(copies) > 1 { // each is begun again in its turn: there may be more of them than files can be open
			out.Discard()
		} else {
			s.annotated = out
		}
	}
	return nil
}

// discardPackets removes what is temporary.
func (s *session) discardPackets() {
	s.annotated.Discard()
	for _, c := range s.sources {
		c.close()
	}
}

// writePackets does what --annotate and --evidence ask for. What was read before an
// interruption is still written.
func (s *session) writePackets() {
	ctx := s.Ctx
	if ctx.Err() != nil {
		ctx = context.Background()
	}
	told := func(err error) {
		if err != nil && ctx.Err() == nil {
			s.Failed = true
			s.Env.Errorf("%v", err)
		}
	}
	names := s.flags.packets.copies(s.flags.files)
	for i := range s.Report.Captures {
		if to := names[s.Report.Captures[i].Path]; to != "" {
			told(s.annotate(ctx, i, to))
		}
	}
	told(s.exhibit(ctx))
}

// again opens a capture of the report once more.
func (s *session) again(index int) (in *capture.File, done func(), err error) {
	c := s.sources[index]
	if c == nil {
		c = &source{path: s.Report.Captures[index].Path}
	}
	in, release, err := c.open(capture.ReadOptions{Resync: s.flags.resync})
	if err != nil {
		return nil, nil, err
	}
	stop := term.Progress(s.Env.Stderr, s.flags.Quiet, s.Report.Captures[index].Path, in.Progress, s.SoFar)
	return in, func() { stop(); in.Close(); release() }, nil
}

// annotate writes the copy of a capture with comments.
func (s *session) annotate(ctx context.Context, index int, name string) error {
	out := s.annotated
	if out == nil {
		var err error
		if out, err = outfile.Create(name, outfile.Umask(s.flags.Umask)); err != nil {
			return err
		}
		defer out.Discard()
	}
	in, done, err := s.again(index)
	if err != nil {
		return err
	}
	defer done()
	c := &s.Report.Captures[index]
	comments := annotate.For(&s.Report, &s.Shown, index)
	a, err := annotate.Copy(ctx, out, in, c.Frames, comments)
	if err != nil {
		return text.AtPath(name, err)
	}
	if a.Frames < c.Frames {
		return fmt.Errorf("%s: has %d of %d frames: %s changed while it was read", name, a.Frames, c.Frames, c.Path)
	}
	if len(comments) == 0 {
		what := "no finding"
		if len(s.Report.Captures) > 1 {
			what = "no frame of evidence in " + s.Report.NameOf(index)
		}
		s.Warn(name + ": " + what + ", no comment: a plain copy")
	}
	if c.Truncated {
		s.Warn(fmt.Sprintf("%s: ends where the capture is damaged, behind frame %d", name, a.Frames))
	}
	if n := len(a.Simple); n > 0 {
		frames := "frames"
		if n == 1 {
			frames = "frame"
		}
		s.Warn(fmt.Sprintf("%s: %s %s had the form of a simple packet block, which has no room for comments; "+
			"in the copy they are enhanced ones, with the time of the frames before", name, frames, numbers(a.Simple)))
	}
	return nil
}

// exhibit writes the captures of the findings.
func (s *session) exhibit(ctx context.Context) error {
	dir := s.flags.packets.evidence
	if dir == "" {
		return nil
	}
	e := annotate.NewEvidence(annotate.EvidenceOptions{
		Dir: dir, Snaplen: s.flags.packets.snaplen, Umask: outfile.Umask(s.flags.Umask),
	}, &s.Report, &s.Shown)
	defer e.Close()
	for _, i := range e.Captures() {
		in, done, err := s.again(i)
		if err != nil {
			return err
		}
		err = e.Read(ctx, i, in, s.Report.Captures[i].Frames)
		done()
		if err != nil {
			return err
		}
	}
	n, err := e.Finish()
	switch {
	case err != nil:
		return err
	case n == 0:
		s.Warn("no finding: nothing was written to " + dir)
	default:
		s.Warn(fmt.Sprintf("%s: %s with headers and bodies of the findings' connections; handle with care", dir, text.Plural(uint64(n), "file")))
	}
	return nil
}

// andMore is the first of names, and how many others there are.
func andMore(names []string) string {
	if n := len(names) - 1; n > 0 {
		return fmt.Sprintf("%s and %d more", names[0], n)
	}
	return names[0]
}

// numbers lists numbers, not all where they are many.
func numbers(ns []uint64) string {
	const most = 10
	var b strings.Builder
	for i, n := range ns {
		if i == most {
			fmt.Fprintf(&b, " and %d more", len(ns)-most)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprint(&b, n)
	}
	return b.String()
}
