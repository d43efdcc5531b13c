package main

import "os"

// availableMemory is the memory that there is for this process; 0: not known.
func availableMemory() int64 { return memoryIn(os.DirFS("/"), memoryLimit()) }
