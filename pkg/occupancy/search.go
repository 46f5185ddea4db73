package occupancy

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/portolan-dev/portolan/pkg/allocation"
)

// mostFound is how many results of one sort a search returns.
const mostFound = 50

// Found is what a search finds, of each sort the first ones and how many there are.
type Found struct {
	// Values has the value that was searched for, if a range has it or it is claimed.
	Values []FoundValue `json:"values"`
	// Claims are those whose value begins with the text, or is in the CIDR.
	Claims     []Claim       `json:"claims"`
	ClaimCount int           `json:"claimCount"`
	Holders    []FoundHolder `json:"holders"`
	// HolderCount counts the holders whose namespace and name contain the text.
	HolderCount int         `json:"holderCount"`
	Ranges      []RangeName `json:"ranges"`
	RangeCount  int         `json:"rangeCount"`
}

// FoundValue is an address or a port. Without a claim it is free.
type FoundValue struct {
	Value  string      `json:"value"`
	Class  string      `json:"class"`
	Ranges []RangeName `json:"ranges"`
	Claim  *Claim      `json:"claim,omitempty"`
}

// FoundHolder is a holder with the number of its claims.
type FoundHolder struct {
	Holder Holder `json:"holder"`
	Claims int    `json:"claims"`
}

// Search finds values, holders and ranges by an address, the beginning of one, a port, a
// CIDR, or a part of a name. An empty text finds nothing.
func (o *Occupancy) Search(text string) Found {
	found := Found{Values: []FoundValue{}, Claims: []Claim{}, Holders: []FoundHolder{}, Ranges: []RangeName{}}
	if text = strings.ToLower(strings.TrimSpace(text)); text == "" {
		return found
	}
	found.Values = o.valuesOf(text)
	matches := matcher(text)
	holders := map[Holder]int{}
	for _, class := range allocation.Classes() {
		for _, c := range o.claims[class] {
			if matches(c) {
				if found.ClaimCount++; found.ClaimCount <= mostFound {
					found.Claims = append(found.Claims, o.withRanges(c, class))
				}
			}
			for _, ref := range c.holders {
				if holder := holderOf(ref); strings.Contains(holder.Namespace+"/"+holder.Name, text) {
					holders[holder]++
				}
			}
		}
	}
	for holder, count := range holders {
		found.Holders = append(found.Holders, FoundHolder{holder, count})
	}
	slices.SortFunc(found.Holders, func(a, b FoundHolder) int { return compareHolders(a.Holder, b.Holder) })
	found.HolderCount, found.Holders = len(found.Holders), found.Holders[:min(len(found.Holders), mostFound)]
	for _, r := range o.ranges {
		name := RangeName{r.kind, r.Name}
		isBlock := slices.ContainsFunc(r.Blocks, func(b allocation.Block) bool { return b.Text == text })
		if (strings.Contains(r.Name, text) || isBlock) && !slices.Contains(found.Ranges, name) {
			found.Ranges = append(found.Ranges, name)
		}
	}
	found.RangeCount, found.Ranges = len(found.Ranges), found.Ranges[:min(len(found.Ranges), mostFound)]
	return found
}

// matcher returns whether the value of a claim begins with a text or, if that is a CIDR, is
// in it.
func matcher(text string) func(claim) bool {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return func(c claim) bool { return strings.HasPrefix(c.text, text) }
	}
	return func(c claim) bool {
		addr, err := netip.ParseAddr(c.text)
		return err == nil && prefix.Contains(addr)
	}
}

// valuesOf returns the value of a text in each class in which it is one that a range has or
// that is claimed.
func (o *Occupancy) valuesOf(text string) []FoundValue {
	values := []FoundValue{}
	number, ok := numberOf(text)
	if !ok {
		return values
	}
	_, notAddress := netip.ParseAddr(text)
	for _, class := range allocation.Classes() {
		if (class == allocation.Port) != (notAddress != nil) {
			continue
		}
		value := FoundValue{Value: valueText(class, number), Class: class.String(), Ranges: o.having(class, number)}
		if i, claimed := slices.BinarySearchFunc(o.claims[class], number, compareToNumber); claimed {
			claim := o.claims[class][i].shown(class)
			value.Claim = &claim
		}
		if value.Claim != nil || len(value.Ranges) > 0 {
			values = append(values, value)
		}
	}
	return values
}
