//go:build !linux

package confine

import "errors"

// Raise uses the rights that the program's file gives it.
func Raise() error { return nil }

// GiveUp gives up the rights of root that are not needed; here it does not know how.
func (p *Plan) GiveUp() error {
	if p.User != "" {
		return errors.New("--user is for Linux")
	}
	return nil
}

// Restrict puts all other files out of reach; here it does not know how.
func (p *Plan) Restrict() error { return nil }
