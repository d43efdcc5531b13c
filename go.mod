module connrace

go 1.26

require (
	github.com/google/gopacket v1.1.19 // indirect
	github.com/klauspost/compress v1.20.3
	github.com/pierrec/lz4/v4 v4.1.33
)
