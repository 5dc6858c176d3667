package spool

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Check looks at a folder that this process is to put jobs in or run them. A warning says who else
// can write jobs there: they are run with the rights of the application.
func Check(dir string) (warning string, err error) {
	st, err := os.Stat(dir)
	if err != nil {
		return "", err
	}
	if !st.IsDir() {
		return "", fmt.Errorf("%s is no folder", dir)
	}
	if err := unix.Faccessat(unix.AT_FDCWD, dir, unix.R_OK|unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
		return "", fmt.Errorf("%s cannot be read and written: %w", dir, err)
	}
	who := ""
	switch mode := st.Mode().Perm(); {
	case mode&0o002 != 0:
		who = "any user of this host"
	case mode&0o020 != 0:
		who = "its group"
	default:
		return "", nil
	}
	return fmt.Sprintf("%s can be written by %s (mode %04o): whoever puts jobs there has code of his run by the "+
		"application, if its tasks take pickled arguments", dir, who, st.Mode().Perm()), nil
}
