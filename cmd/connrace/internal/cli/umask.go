package cli

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/pflag"

	"connrace/cmd/connrace/internal/outfile"
)

// Umask is the flag of that name.
type Umask outfile.Umask

func (m *Umask) String() string { return fmt.Sprintf("%03o", uint32(*m)) }
func (m *Umask) Type() string   { return "MASK" }

func (m *Umask) Set(s string) error {
	const all = 0o777
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil || n > all {
		return errors.New("must be a mask such as umask(1) takes: 077, 027, 022")
	}
	if n&0o600 != 0 {
		return errors.New("must leave the permission to read and write to you")
	}
	*m = Umask(n)
	return nil
}

// AddTo adds the flag.
func (m *Umask) AddTo(fs *pflag.FlagSet) {
	*m = Umask(outfile.Private)
	fs.Var(m, "umask", "what others may not do with the files that are written, as a\n`MASK` of umask(1): 027 lets your group read them; one that is\nreplaced keeps its permissions")
}
