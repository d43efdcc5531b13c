package main

import "testing"

// Completion knows of every command what may follow it, and of no other.
func TestFollowingCommands(t *testing.T) {
	all := following()
	for _, c := range commands() {
		f, is := all[c.name]
		if !is || f.flags == nil || f.operands == nil {
			t.Errorf("completion does not know what follows %s", c.name)
			continue
		}
		if name := f.flags().Name(); name != c.name {
			t.Errorf("the flags of %s are those of %s", c.name, name)
		}
		delete(all, c.name)
	}
	for name := range all {
		t.Errorf("completion knows %s, which is no command", name)
	}
}
