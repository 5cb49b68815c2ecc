package config

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/kontena/network-lb/bgp"
)

const (
	communityRemedy = "write two numbers such as 64500:100, large:64500:1:2, or a well-known name such as no-export"
	bfdNameRemedy   = "give it a name of lower-case letters, digits and '-', such as fast"
)

// names are what parts of the document are called by in others.
type names struct {
	communities map[string]bgp.Community // by the names in bgp_communities
	profiles    map[string]bgp.BFD       // by the names in bfd_profiles
	peerNames   []string
	unnamed     bool // a peer's name could not be read, so that peerNames lacks it
}

// namedCommunities reads bgp_communities.
func (r *reader) namedCommunities(v value) {
	r.communities = map[string]bgp.Community{}
	texts, at := r.texts(v, "a map of names and communities, or leave it out", "a name", "a community")
	for name := range at {
		c, err := bgp.ParseCommunity(texts[name])
		known, nameErr := bgp.ParseCommunity(name)
		_, isText := texts[name]
		switch {
		case !isText: // noted already
		case name == "":
			r.rejectText(at[name], `""`, "is no name", "write the name that advertisements use")
		case err != nil:
			r.reject(at[name], "is not a community", communityRemedy)
		case nameErr == nil && known != c:
			r.reject(at[name], "is not what "+name+" stands for already", "use another name, or "+known.String())
		}
		r.communities[name] = c
	}
}

// community reads one element of communities: a name in bgp_communities, a well-known name, or numbers.
func (r *reader) community(v value) (bgp.Community, bool) {
	text, ok := r.text(v, "a community")
	if !ok {
		return bgp.Community{}, false
	}
	if c, named := r.communities[text]; named {
		return c, true
	}
	c, err := bgp.ParseCommunity(text)
	if err == nil {
		return c, true
	}
	remedy := "name one of bgp_communities, or " + communityRemedy
	all := bgp.WellKnownCommunities()
	for name := range r.communities {
		all = append(all, name)
	}
	slices.Sort(all)
	if near := nearest(text, all); near != "" {
		remedy = "did you mean " + near + "?"
	}
	r.reject(v, "is not a community", remedy)
	return bgp.Community{}, false
}

// peerName checks the name of a peer where an advertisement uses it.
func (r *reader) peerName(v value) (string, bool) {
	name, ok := r.text(v, "the name of a peer")
	if !ok || r.unnamed || slices.Contains(r.peerNames, name) {
		return name, ok
	}
	remedy := "there is none: leave it out"
	if near := nearest(name, r.peerNames); near != "" && !isAddress(name) {
		remedy = "did you mean " + near + "?"
	} else if len(r.peerNames) > 0 {
		remedy = "the peers are " + strings.Join(r.peerNames[:min(len(r.peerNames), 10)], ", ")
	}
	r.reject(v, "is not the name of a peer", remedy)
	return "", false
}

// isAddress reports whether a text is an IP address: those that look alike are not.
func isAddress(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}

// bfdProfiles reads bfd_profiles.
func (r *reader) bfdProfiles(v value) {
	r.profiles = map[string]bgp.BFD{}
	lines := map[string]value{}
	for _, element := range r.list(v) {
		f := r.fields(element, aBFDProfile)
		b := r.bfd(f)
		v, ok := r.require(f, "name", bfdNameRemedy)
		if !ok {
			continue
		}
		name, ok := r.text(v, "a name")
		first, twice := lines[name]
		switch {
		case !ok:
		case !dnsLabel.MatchString(name):
			r.reject(v, "is not a DNS label", bfdNameRemedy)
		case twice:
			r.rejectText(v, v.text(), "is already the name of the BFD profile in line "+lineOf(first), "give every profile its own name")
		}
		if ok && !twice {
			lines[name], r.profiles[name] = v, b
		}
	}
}

// bfdProfile reads the profile that a peer names; "" is none.
func (r *reader) bfdProfile(v value) bgp.BFD {
	name, ok := r.text(v, "the name of a BFD profile")
	if !ok || name == "" {
		return bgp.BFD{}
	}
	if b, known := r.profiles[name]; known {
		return b
	}
	all := make([]string, 0, len(r.profiles))
	for known := range r.profiles {
		all = append(all, known)
	}
	slices.Sort(all)
	remedy := "add it to bfd_profiles, or leave it out"
	if near := nearest(name, all); near != "" {
		remedy = "did you mean " + near + "?"
	} else if len(all) > 0 {
		remedy = "the profiles are " + strings.Join(all[:min(len(all), 10)], ", ")
	}
	r.reject(v, "is not the name of a BFD profile", remedy)
	return bgp.BFD{}
}
