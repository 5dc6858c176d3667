package supervisor

import "fmt"

// Phase is the state of the instance.
type Phase int

// Phases of an instance.
const (
	Starting  Phase = iota // the first generation is coming up
	Running                // serves
	Sleeping               // cheap: no worker runs until a connection comes
	Reloading              // a new generation is coming up; the old one serves
	Closing                // told to stop and serves on, for shutdown-delay
	Stopping               // everything is told to end
	Stopped
)

var phaseNames = [...]string{"starting", "running", "sleeping", "reloading", "closing", "stopping", "stopped"}

func (p Phase) String() string { return phaseNames[p] }

// phaseMoves is every change of phase there is.
var phaseMoves = map[Phase][]Phase{
	Starting:  {Running, Sleeping, Stopping},
	Running:   {Sleeping, Reloading, Closing, Stopping},
	Sleeping:  {Running, Reloading, Closing, Stopping},
	Reloading: {Running, Sleeping, Closing, Stopping},
	Closing:   {Stopping},
	Stopping:  {Stopped},
}

// state is the state of one worker process.
type state int

const (
	forking   state = iota // asked for
	starting               // has a process, which takes no connections yet
	serving                // was ready, and told to serve
	draining               // told to finish; the mercy runs
	condemned              // harakiri: its last moment to answer and let others finish
	killed                 // SIGKILL sent, or to be sent once it has a process
	gone
)

var stateNames = [...]string{"forking", "starting", "serving", "draining", "condemned", "killed", "gone"}

func (s state) String() string { return stateNames[s] }

// stateMoves is every change of a process's state there is.
var stateMoves = map[state][]state{
	forking:   {starting, killed, gone},
	starting:  {serving, killed, gone},
	serving:   {draining, condemned, killed, gone},
	draining:  {condemned, killed, gone},
	condemned: {killed, gone},
	killed:    {gone},
}

// checkMove returns an error for a move that the table does not have.
func checkMove[S interface {
	comparable
	fmt.Stringer
}](table map[S][]S, from, to S) error {
	for _, s := range table[from] {
		if s == to {
			return nil
		}
	}
	return fmt.Errorf("illegal move from %s to %s", from, to)
}
