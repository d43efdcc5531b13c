package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

// worker is a server, "connrace-worker HOW ADDR", whose worker inherits its listener, answers
// requests, and ends, as HOW says, when one is for /end. Its first line is the worker's number.
func worker() {
	if os.Getenv("WORKER") != "" {
		work(os.Args[1])
	}
	must := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	l, err := net.Listen("tcp", os.Args[2])
	must(err)
	if os.Args[1] == "alone" {
		fmt.Println("listens")
		time.Sleep(time.Hour)
	}
	f, err := l.(*net.TCPListener).File()
	must(err)
	c := exec.Command(os.Getenv("EXE"), os.Args[1:]...)
	c.Args[0] = "connrace-worker"
	c.Env = append(os.Environ(), "WORKER=1")
	c.ExtraFiles = []*os.File{f}
	out, err := c.StdoutPipe()
	must(err)
	_, err = c.StdinPipe() // by whose end it learns of the master's
	must(err)
	must(c.Start())
	fmt.Println(c.Process.Pid)
	bufio.NewReader(out).ReadString('\n')
	switch os.Args[1] {
	case "harakiri":
		c.Process.Kill()
	case "timeout":
		c.Process.Signal(syscall.SIGABRT)
	}
	c.Wait()
	time.Sleep(time.Hour)
}

func work(how string) {
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	l, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		os.Exit(1)
	}
	self, _ := os.FindProcess(os.Getpid())
	aborted := make(chan os.Signal, 1)
	signal.Notify(aborted, syscall.SIGABRT)
	http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/end" {
			fmt.Fprint(w, "ok")
			return
		}
		fmt.Println("has it")
		switch how {
		case "exit":
			os.Exit(3)
		case "kill":
			self.Kill()
		case "timeout": // as gunicorn's workers do
			<-aborted
			os.Exit(1)
		case "memory":
			for kept := [][]byte{}; ; {
				b := make([]byte, 1<<20)
				for i := 0; i < len(b); i += 4096 {
					b[i] = 1
				}
				kept = append(kept, b)
			}
		}
		time.Sleep(time.Hour)
	}))
}
