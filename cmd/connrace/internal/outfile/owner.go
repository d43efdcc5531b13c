package outfile

import "io/fs"

// Identity is what tells a file from the others on its file system.
type Identity struct {
	Inode uint64
	Links uint64 // names that it has
	owner int
}

// Owned reports whether a file belongs to the user that the program runs as, which it does
// where the system does not tell.
func Owned(st fs.FileInfo) bool {
	id, known := Identify(st)
	return !known || id.owner == user()
}

// closed reports whether nobody but the running user and root can put files into a directory.
func closed(dir fs.FileInfo) bool {
	const superuser = 0
	id, known := Identify(dir)
	return !known || (id.owner == user() || id.owner == superuser) && dir.Mode().Perm()&0o022 == 0
}
