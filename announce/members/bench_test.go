package members

import (
	"net/netip"
	"testing"
	"time"
)

// three is a table of three speakers that hold n addresses each.
func three(n int) *table {
	t := newTable("a", 1)
	for i, node := range []string{"a", "b", "c"} {
		var held []netip.Addr
		for j := range n {
			k := 3*j + i // as an order by hash would deal them out
			held = append(held, netip.AddrFrom4([4]byte{10, byte(k >> 16), byte(k >> 8), byte(k)}))
		}
		if node == "a" {
			t.set(State{Held: held, Interfaces: links}, false)
			continue
		}
		t.take(full(node, head{7, 7}, held...), time.Now())
	}
	return t
}

// BenchmarkExchange is what an exchange of everything costs: three speakers with 5,000 addresses each.
func BenchmarkExchange(b *testing.B) {
	never := func(string) time.Duration { return 0 }
	from := three(5000)
	message := from.exchange(never)
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		b.ReportMetric(float64(len(message)), "B/message")
		for b.Loop() {
			from.exchange(never)
		}
	})
	b.Run("read what is known", func(b *testing.B) {
		to := three(5000)
		b.ReportAllocs()
		for b.Loop() {
			if records, err := to.newer(message[2:]); err != nil || len(records) > 0 {
				b.Fatal(len(records), err)
			}
		}
	})
	b.Run("read all", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			to := newTable("z", 1)
			records, err := to.newer(message[2:])
			if err != nil || len(records) != 3 {
				b.Fatal(len(records), err)
			}
			for _, r := range records {
				to.take(r, time.Time{})
			}
		}
	})
}

// BenchmarkChange is what one address more or less among 5,000 costs, here and at who hears of it.
func BenchmarkChange(b *testing.B) {
	from, to := three(5000), newTable("z", 1)
	to.take(from.own().record("a"), time.Now())
	all := from.own().held
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r, ok := from.set(State{Held: all[i%2:], Interfaces: links}, false)
		if i == 0 {
			continue
		}
		if !ok || !to.take(r, time.Time{}).changed {
			b.Fatal(r)
		}
	}
}
