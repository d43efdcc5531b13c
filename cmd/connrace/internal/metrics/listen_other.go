//go:build !unix

package metrics

import (
	"io/fs"
	"net"
)

func bindUnix(path string) (net.Listener, error) { return net.Listen("unix", path) }

func owned(fs.FileInfo) bool { return false }
