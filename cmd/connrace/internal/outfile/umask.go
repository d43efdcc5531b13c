package outfile

import "io/fs"

// Umask is what files and directories do not let others do, as umask(2) has it. That of the
// process holds besides.
type Umask fs.FileMode

const (
	// Private is for what holds packets or was made of them: requests have cookies.
	Private Umask = 0o077
	// Readable is for what anybody may know.
	Readable Umask = 0o022
)

func (m Umask) file() fs.FileMode { return 0o666 &^ fs.FileMode(m) }
func (m Umask) dir() fs.FileMode  { return 0o777 &^ fs.FileMode(m) }
