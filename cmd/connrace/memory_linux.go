package main

import (
	"os"
	"sync"
)

// availableMemory is the memory that there is for this process, as it was when it was asked
// for first; 0: not known.
var availableMemory = sync.OnceValue(func() int64 { return memoryIn(os.DirFS("/"), memoryLimit()) })
