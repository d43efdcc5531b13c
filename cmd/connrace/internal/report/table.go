package report

import "io"

// Table writes the report for people.
func Table(w io.Writer, r *Report, o *Options) error { return nil }
