// Package sd is everything this program says to systemd and hears from it: socket activation,
// sd_notify, the watchdog, the journal's native protocol and the manager's D-Bus interface. One
// file a facility; each of them does nothing where systemd is absent, and none keeps global state.
package sd
