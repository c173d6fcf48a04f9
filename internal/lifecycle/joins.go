package lifecycle

import "slices"

// label remembers the span of the program's own that a goroutine works for.
func (t *Tracker) label(e *Event) {
	if e.From != Dead {
		if g := t.live[e.G]; g != nil {
			g.worksFor(e.Context)
			g.carries(e.Context)
		}
	} else if e.Context != (SpanContext{}) {
		t.inherited[e.G] = e.Context
	}
}

// inherit gives a new goroutine the span that its creator works for. If the creator was created for that span itself, what it creates
// stays its child.
func (t *Tracker) inherit(g, creator *Goroutine, context SpanContext) {
	g.inherited = context
	g.worksFor(context)
	if !t.limits.Join || creator != nil && creator.inherited == context && g.Tree.Joined == context.TraceID {
		return
	}
	e := t.enter(g, g.Start, nil)
	g.Joined = context
	g.Tree = Tree{Root: g.GoID, Joined: context.TraceID}
	e.ref = g.ref()
}

func (g *Goroutine) worksFor(context SpanContext) {
	if context != (SpanContext{}) && len(g.Contexts) < maxContexts && !slices.Contains(g.Contexts, context) {
		g.Contexts = append(g.Contexts, context)
	}
}

// carries takes the span that a goroutine's labels name. What the goroutine was created for is where its own span is.
func (g *Goroutine) carries(context SpanContext) {
	if g.carried = nil; context != (SpanContext{}) && context != g.inherited {
		g.carried = &context
	}
}

// joinsNow returns the span below which states are that begin now, nil if they are below that of the goroutine.
func (t *Tracker) joinsNow(g *Goroutine) *SpanContext {
	if !t.limits.Join {
		return nil
	}
	return g.carried
}

// joined returns the span below which a state of a goroutine is that ends now: what began before the labels named the span, or ends when they do so
// no longer, would be longer than that.
func (t *Tracker) joined(g *Goroutine) *SpanContext {
	if began := g.current.Within; g.current.State != Running || within(began, g.carried) {
		return began
	}
	return nil
}

// within tells whether two spans are the same.
func within(a, b *SpanContext) bool { return a == b || a != nil && b != nil && *a == *b }
