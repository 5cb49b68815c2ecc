package rawsock

import (
	"encoding/binary"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// message is a netlink message as the kernel sends them.
func message(kind uint16, data ...byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+len(data)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	return append(append(b, make([]byte, 10)...), data...)
}

// linkMessage is one about interface 7.
func linkMessage(kind uint16, flags uint32, event uint32) []byte {
	data := make([]byte, 4, 24)
	data = binary.NativeEndian.AppendUint32(data, 7)
	data = binary.NativeEndian.AppendUint32(data, flags)
	data = append(data, 0, 0, 0, 0)
	data = binary.NativeEndian.AppendUint16(data, 8)
	data = binary.NativeEndian.AppendUint16(data, unix.IFLA_EVENT)
	data = binary.NativeEndian.AppendUint32(data, event)
	return message(kind, data...)
}

func TestReadNews(t *testing.T) {
	const up = unix.IFF_UP | unix.IFF_LOWER_UP
	route := func(length byte) []byte {
		return message(unix.RTM_NEWROUTE, append([]byte{2, length}, make([]byte, 10)...)...)
	}
	for name, tt := range map[string]struct {
		messages []byte
		want     news
	}{
		"nothing":               {nil, news{}},
		"route":                 {route(24), news{}},
		"default route":         {route(0), news{routes: true}},
		"route, then default":   {append(route(24), route(0)...), news{routes: true}},
		"address":               {message(unix.RTM_NEWADDR, make([]byte, 8)...), news{links: true}},
		"interface up":          {linkMessage(unix.RTM_NEWLINK, up, 0), news{links: true}},
		"interface down":        {linkMessage(unix.RTM_NEWLINK, 0, 0), news{links: true, unseen: []int{7}}},
		"carrier lost and back": {append(linkMessage(unix.RTM_NEWLINK, unix.IFF_UP, 0), linkMessage(unix.RTM_NEWLINK, up, 0)...), news{links: true, unseen: []int{7}}},
		"interface gone":        {linkMessage(unix.RTM_DELLINK, up, 0), news{links: true, unseen: []int{7}}},
		"bond failed over":      {linkMessage(unix.RTM_NEWLINK, up, 3), news{links: true, unseen: []int{7}}},
		"machine moved":         {linkMessage(unix.RTM_NEWLINK, up, 4), news{links: true, unseen: []int{7}}},
		"groups resent":         {linkMessage(unix.RTM_NEWLINK, up, 5), news{links: true}},
		"half a message":        {linkMessage(unix.RTM_NEWLINK, 0, 0)[:20], news{links: true, routes: true}},
		"short message":         {message(unix.RTM_NEWLINK, 1, 2, 3, 4), news{links: true}},
	} {
		got := readNews(tt.messages)
		if got.links != tt.want.links || got.routes != tt.want.routes || !slices.Equal(got.unseen, tt.want.unseen) {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}

// Whatever comes, it is read without a panic, and what is not understood asks for a look at everything.
func FuzzReadNews(f *testing.F) {
	f.Add(linkMessage(unix.RTM_NEWLINK, unix.IFF_UP, 3))
	f.Add(append(linkMessage(unix.RTM_DELLINK, 0, 0), message(unix.RTM_NEWROUTE, 2, 0)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := readNews(b)
		if len(n.unseen) > 0 && !n.links {
			t.Errorf("%+v: an interface was interrupted, and no link has changed", n)
		}
	})
}
