//go:build linux

package telemetry

// Names of attributes: the semantic conventions' where they have one.
const (
	attributeGoID        = "go.goroutine.id"
	attributeParentGoID  = "go.goroutine.parent.id"
	attributeSystem      = "go.goroutine.system"
	attributePreexisting = "go.goroutine.preexisting"
	// The goroutine goes on for long after the trace of its creator.
	attributeOutlives = "go.goroutine.outlives"
	attributeEnding   = "go.goroutine.ending"
	// Of a goroutine whose span ends where it waits for work for the first time, how long it lived.
	attributeLifetime = "go.goroutine.lifetime"
	attributeSegment  = "go.goroutine.segment"
	// Of a goroutine that does one piece of work after the other, how many it has done; of each of them, what is known of its cause.
	attributeEpisodes = "go.goroutine.episodes"
	attributeCause    = "go.goroutine.episode.cause"
	// Of one that works on an item of a channel, for how many seconds that had been in the buffer.
	attributeQueued = "go.goroutine.queued.duration"
	// Intervals that are too short for a span, and those for which there was no room.
	attributeFoldedCount     = "go.goroutine.folded.count"
	attributeFoldedDuration  = "go.goroutine.folded.duration"
	attributeDroppedCount    = "go.goroutine.dropped.count"
	attributeDroppedDuration = "go.goroutine.dropped.duration"
	// Of what a goroutine was most of the time, and how much of it. Of why it waited, how long, with the reason behind it.
	attributeDominant      = "go.goroutine.dominant.state"
	attributeDominantShare = "go.goroutine.dominant.share"
	attributeWaitDuration  = "go.goroutine.wait.duration."
	// Of a trace, how many goroutines and pieces of work had begun in it.
	attributeInTrace = "go.goroutine.trace.count"
	attributeHelpers = "go.goroutine.helpers"
	// Of a trace, goroutines that have no span.
	attributeGoroutinesDropped = "go.goroutine.trace.dropped"
	attributeEventsLost        = "go.goroutine.events.lost"
	attributeState             = "go.goroutine.state"
	// Of an interval that is joined of several, how many they are and how long they last together.
	attributeStateCount    = "go.goroutine.state.count"
	attributeStateDuration = "go.goroutine.state.duration"
	attributeStateFrom     = "go.goroutine.state.from"
	attributeStateTo       = "go.goroutine.state.to"
	attributeWaitReason    = "go.goroutine.wait.reason"
	attributeCreator       = "go.goroutine.creator.function"
	attributeCreatorFile   = "go.goroutine.creator.file"
	attributeCreatorLine   = "go.goroutine.creator.line"
	// Of a go statement in a library, the line of the program's own module that led there.
	attributeCaller     = "go.goroutine.creator.caller.function"
	attributeCallerFile = "go.goroutine.creator.caller.file"
	attributeCallerLine = "go.goroutine.creator.caller.line"
	attributeFunction   = "code.function.name"
	attributeFile       = "code.file.path"
	attributeLine       = "code.line.number"
	attributeStack      = "code.stacktrace"
	attributeThread     = "thread.id"
	attributeProcess    = "process.pid"

	attributeEngine         = "go.goroutine.engine"
	attributeEstimated      = "go.goroutine.estimated"
	attributeSampled        = "go.goroutine.sampled"
	attributeLevel          = "go.goroutine.overhead.level"
	attributeLevelBefore    = "go.goroutine.overhead.level.before"
	attributeOverheadReason = "go.goroutine.overhead.reason"
	attributeOverheadShare  = "go.goroutine.overhead.share"
	attributeOverheadBudget = "go.goroutine.overhead.budget"

	attributeBlockedCount = "go.goroutine.blocked.count"

	attributeWaker         = "go.goroutine.waker.id"
	attributeWakerFunction = "go.goroutine.waker.function"

	// Of a link, what it leads to.
	attributeLink = "go.goroutine.link"

	eventStateChange = "go.goroutine.state_change"
	eventBlocked     = "go.goroutine.blocked"
	eventLevel       = "go.goroutine.overhead.level_change"
	eventCleared     = "go.goroutine.unblocked"

	// unknownFunction is the name of a goroutine whose start function the binary's table does not tell, as of threads that C made.
	unknownFunction = "unknown"
)
