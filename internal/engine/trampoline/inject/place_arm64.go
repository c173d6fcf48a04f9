//go:build linux

package inject

// reach is how far from each site all of the trampolines may be: the 128 MiB of a jump.
const reach = 128 << 20

// within returns between which addresses there may be trampolines, from the lowest on. They may be above the executable, as there is nothing
// below one that is not made for any address.
func within(_, lowest uint64, sites []Site) (from, to uint64) {
	first, last := sites[0].Address, sites[0].Address
	for _, s := range sites {
		first, last = min(first, s.Address), max(last, s.Address)
	}
	if last > reach {
		lowest = max(lowest, last-reach)
	}
	return lowest, first + reach
}
