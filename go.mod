module connrace

go 1.26.0

require (
	github.com/google/gopacket v1.1.19
	github.com/klauspost/compress v1.20.3
	github.com/pierrec/lz4/v4 v4.1.33
	github.com/spf13/pflag v1.0.10
	golang.org/x/term v0.47.0
)

require golang.org/x/sys v0.49.0 // indirect
