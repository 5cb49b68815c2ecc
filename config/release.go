package config

import "github.com/kontena/network-lb/ipam"

const releaseRemedy = "list names of pools, addresses, ranges and CIDRs, such as [default, 10.20.0.5, 10.20.1.0/24]"

// release reads release. A pool that it names may be one that the document has no longer.
func (r *reader) release(v value) (words []string) {
	for _, element := range r.list(v) {
		word, ok := r.text(element, "an address or the name of a pool")
		if !ok {
			continue
		}
		if _, err := ipam.ParseRange(word); err == nil {
			r.addresses(element) // warns of host bits
		} else if !dnsLabel.MatchString(word) {
			r.reject(element, "is neither an address nor the name of a pool", releaseRemedy)
			continue
		}
		words = append(words, word)
	}
	return words
}
