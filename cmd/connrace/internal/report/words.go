package report

// Path is a request target as it is shown: without user information, and without the query
// string unless it is asked for, for both carry secrets.
func Path(s string, query bool) string { return path(s, query) }

// Span writes a duration, ns, as people read it: 31.2 ms, 5.001874 s.
func Span(ns int64) string { return span(ns) }

// Plural writes "1 request", "2 requests", "1,234 requests".
func Plural(n uint64, noun string) string { return plural(n, noun) }

// Grouped writes a number with commas between groups of three digits.
func Grouped(n uint64) string { return grouped(n) }
