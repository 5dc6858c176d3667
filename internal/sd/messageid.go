package sd

// Message identifiers of life-cycle events: the MESSAGE_ID= field of systemd.journal-fields(7),
// random 128-bit numbers that `journalctl -x` looks up in the catalog. They never change:
// dashboards filter on them.
const (
	MessageStartFailed    = "d89f97d32f454cb2912f1495fe55c7cb" // the application could not be loaded at start
	MessageReady          = "6836f251556e4b75ae0bc0573e37074e" // every worker can serve
	MessageReloadOK       = "e835c3c1dee24ac6b14f268597965627"
	MessageReloadFailed   = "4d14a8ff2920428dbab080a38d3d831a" // the old code goes on serving
	MessageHarakiri       = "bada3386da9b45a7abfe451cd2abc3ab"
	MessageWorkerDied     = "b79ae48b5e5348f48f410b6542b4e175"
	MessageWorkerRecycled = "11f883ea2daa46b38b1da9f8b080bb9e"
	MessageStopped        = "7f6d752bec064c76aee16f40fe42f342"
)
