// Command peers measures what connrace costs beside other programs that read captures:
// cat, which only reads, tcpdump, which copies, floor.c, which follows connections and judges
// nothing, and those that keep flows; with -slow tshark and tcptrace, too. It makes the captures
// itself, and fails if what connrace finds in them is not what was put in. The result is Markdown;
// -write makes of it the page docs/speed.md.
//
//	go run ./cmd/peers
//	go run ./cmd/peers -size 0.1 -slow
//	go run ./cmd/peers -full -live -write docs/speed.md
//	go run ./cmd/peers -growth -full
//	go run ./cmd/peers -several -rounds 9
//	go run ./cmd/peers -joined -rounds 9
package main

import (
	"bytes"
	"context"
	_ "embed" // floor.c and burst.c
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// bench is what all measurements share.
type bench struct {
	dir    string // of programs and captures, removed at the end
	rounds int
	slow   bool // also the programs that take long
	peers  bool // also the programs that keep flows
	watch  bool // also those that capture from an interface
	limit  time.Duration
	seed   uint64
	stderr io.Writer
	notes  []string // what is not in the table, and why
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	fs := flag.NewFlagSet("peers", flag.ContinueOnError)
	fs.SetOutput(stderr)
	b := &bench{stderr: stderr, peers: true}
	fs.IntVar(&b.rounds, "rounds", 3, "how often each program runs")
	fs.BoolVar(&b.slow, "slow", false, "also tshark and tcptrace, once; they take minutes and gigabytes of memory")
	fs.DurationVar(&b.limit, "limit", 10*time.Minute, "with -slow: how long one of them may take")
	fs.Uint64Var(&b.seed, "seed", 1, "of the captures")
	size := fs.Float64("size", 0.3, "packets, connections and faults, as a share of the full sizes")
	full := fs.Bool("full", false, "the full sizes: 1 GB, 10 million packets; with -growth also 100 million")
	growth := fs.Bool("growth", false, "how costs grow with connections, packets and trouble, at the full sizes if -size is not given")
	fs.BoolVar(&b.watch, "live", false, "those that capture from an interface instead, with -write too; it needs root")
	several := fs.Bool("several", false, "what a second processor saves instead")
	joined := fs.Bool("joined", false, "what joining two captures costs instead")
	page := fs.String("write", "", "write a page about it all to this `FILE`")
	parent := fs.String("dir", os.TempDir(), "where captures are made, one at a time")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() > 0 || b.rounds < 1 || !(*size > 0 && *size <= 1) {
		return errors.New("want no arguments, -rounds 1 or more, -size above 0 and up to 1")
	}
	sized := false
	fs.Visit(func(f *flag.Flag) { sized = sized || f.Name == "size" })
	if *full || *growth && !sized {
		*size = 1
	}
	if b.dir, err = os.MkdirTemp(*parent, "connrace-peers-"); err != nil {
		return err
	}
	defer func() {
		if e := os.RemoveAll(b.dir); err == nil {
			err = e
		}
	}()
	if err := b.build(ctx); err != nil {
		return err
	}
	if *page != "" {
		var doc bytes.Buffer
		if err := b.page(ctx, *size, args, &doc); err != nil {
			return err
		}
		return os.WriteFile(*page, doc.Bytes(), 0o666)
	}
	if b.watch {
		return b.live(ctx, *size, stdout)
	}
	if *several {
		return b.several(ctx, shaped(*size), stdout)
	}
	if *joined {
		return b.joining(ctx, shaped(*size), stdout)
	}
	if *growth {
		if err := b.growth(ctx, growing(*size, *full), stdout); err != nil {
			return err
		}
		fmt.Fprintln(stdout)
		return b.mounting(ctx, mounting(*size), stdout)
	}
	return b.compare(ctx, compared(*size), stdout)
}

// build makes the two programs of this module that are run.
func (b *bench) build(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", b.dir+string(filepath.Separator),
		"connrace/cmd/connrace", "connrace/cmd/pcapgen")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build, in the folder of the module: %w\n%s", errors.Join(ctx.Err(), err), out)
	}
	if err := os.Mkdir(filepath.Join(b.dir, "scratch"), 0o777); err != nil {
		return err
	}
	source := filepath.Join(b.dir, floor)
	if err := os.WriteFile(source, floorSource, 0o666); err != nil {
		return err
	}
	// Where there is no compiler the table goes without.
	if out, err := exec.CommandContext(ctx, "gcc", "-O2", "-o", filepath.Join(b.dir, "floor"), source).CombinedOutput(); err != nil {
		b.note(fmt.Sprintf("floor.c cannot be built: %v %s", err, bytes.TrimSpace(out)))
	}
	return nil
}

//go:embed floor/floor.c
var floorSource []byte

//go:embed floor/burst.c
var burstSource []byte

func (b *bench) say(format string, args ...any) { fmt.Fprintf(b.stderr, format+"\n", args...) }
