package annotate

import (
	"context"
	"io"

	"connrace/capture"
	"connrace/cmd/connrace/internal/outfile"
)

// Copy writes the first frames of a capture that was just opened to out, with comments,
// and puts out into its place.
func Copy(ctx context.Context, out *outfile.File, in *capture.File, frames uint64, c Comments) (capture.Annotated, error) {
	w := out.Writer()
	if at, ok := w.(io.WriterAt); ok {
		w = struct {
			io.Writer
			io.WriterAt
		}{until{ctx, w}, at}
	} else {
		w = until{ctx, w}
	}
	a, err := capture.Annotate(w, in, frames, func(n uint64) []string { return c[n] })
	if err != nil {
		return a, err
	}
	return a, out.Commit()
}

// until is a writer that fails when a context is done.
type until struct {
	ctx context.Context
	w   io.Writer
}

func (u until) Write(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.w.Write(p)
}
