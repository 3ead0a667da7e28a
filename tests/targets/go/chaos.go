// As chaos.c; goroutines call the probed function on stacks that grow and move, the collector runs,
// children are programs of their own, and no library is loaded.
package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

type cup struct {
	tea  string
	sips []int
	next *cup
}

var count uint64

//go:noinline
func pour(c *cup, number int) int {
	var room [64]int
	room[number%64] = number
	if number%16 > 0 {
		// Deeper and deeper: the stack is copied.
		return pour(c.next, number-1) + room[number%64]
	}
	if number%7 == 3 {
		panic(c.tea)
	}
	c.sips = append(c.sips[:0:0], number)
	return len(c.sips) + room[0]
}

func try(c *cup, number int) {
	defer func() {
		if text := recover(); text != nil && !strings.HasPrefix(text.(string), "tea") {
			os.Exit(3)
		}
	}()
	pour(c, number)
	atomic.AddUint64(&count, 1)
}

func call(times int) {
	c := &cup{tea: "tea one", next: &cup{tea: "tea two"}}
	c.next.next = c
	done := make(chan bool)
	for worker := 0; worker < 4; worker++ {
		go func() {
			own := *c
			other := *c.next
			own.next, other.next = &other, &own
			for i := 0; i < times/4; i++ {
				try(&own, i)
			}
			done <- true
		}()
	}
	for worker := 0; worker < 4; worker++ {
		<-done
	}
}

func main() {
	if len(os.Args) > 1 {
		call(1000)
		return
	}
	go func() {
		for {
			call(4)
			time.Sleep(time.Millisecond)
		}
	}()
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "become "):
			program := strings.TrimPrefix(line, "become ")
			panic(syscall.Exec(program, []string{program}, os.Environ()))
		case line == "fork":
			if err := exec.Command("/proc/self/exe", "child").Run(); err != nil {
				panic(err)
			}
		default:
			call(200)
			runtime.GC()
		}
		fmt.Println("done", atomic.LoadUint64(&count))
	}
}
