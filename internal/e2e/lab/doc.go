// Package lab boots real systemds and drives the Debian package in them: bookworm's and trixie's,
// each in a container of systemd-nspawn over a root file system that packaging/lab/rootfs.sh builds
// once and an overlay that goes with the run.
//
// It is run by `make lab` (packaging/lab/run.sh), which builds the package first; the tests stand
// behind the build tag lab because they need root, a minute, and both of these. Where the machine
// cannot boot a container they fail and say why; nothing is skipped.
//
//	machine_test.go   one booted system: run a command in it, write files, reboot
//	app_test.go       applications for it
//	main_test.go      the list of scenarios, and the closing line
//	…_test.go         the scenarios, by subject; each makes what it needs and takes it away again
//
// A single one: packaging/lab/run.sh -run 'TestLab/trixie/restart-under-load'
package lab
