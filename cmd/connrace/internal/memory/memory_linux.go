package memory

import (
	"os"
	"sync"
)

// Available is the memory that there is for this process, as it was when it was asked
// for first; 0: not known.
var Available = sync.OnceValue(func() int64 { return memoryIn(os.DirFS("/"), memoryLimit()) })
