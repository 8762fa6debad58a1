// Package networking gives Go's net package what the networking ABI opens: listeners and connections.
package networking

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

//go:wasmimport networking open
func open(protocol uint32, address unsafe.Pointer, length uint32, kind uint32, base, inheriting uint64, flags uint32,
	result unsafe.Pointer) uint32

//go:wasmimport networking listen
func listen(control, backlog uint32) uint32

//go:wasmimport networking connect
func connect(control uint32, address unsafe.Pointer, length uint32, result unsafe.Pointer) uint32

//go:wasmimport networking stream_create
func streamCreate(connection uint32, rights, inheriting uint64, flags uint32, result unsafe.Pointer) uint32

const (
	socketStream = 6
	nonblock     = 1 << 2
	// fd_read, fd_fdstat_set_flags, fd_write, fd_filestat_get, poll_fd_readwrite and sock_shutdown, as the
	// module counts the bits.
	rights = 1<<1 | 1<<3 | 1<<6 | 1<<22 | 1<<29 | 1<<30
)

// find looks a descriptor up in NETWORKING_FDS.
func find(name string) (uint32, error) {
	list := os.Getenv("NETWORKING_FDS")
	for _, item := range strings.Split(list, ",") {
		if found, number, ok := strings.Cut(item, "="); ok && found == name {
			fd, err := strconv.ParseUint(number, 10, 32)
			return uint32(fd), err
		}
	}
	return 0, fmt.Errorf("no object %q among NETWORKING_FDS=%s", name, list)
}

func protocolFor(address string) (uint32, error) {
	if strings.HasPrefix(address, "[") {
		return find("ipv6")
	}
	return find("ipv4")
}

func fail(what, address string, errno uint32) error {
	if errno == 0 {
		return nil
	}
	return fmt.Errorf("%s %s: %w", what, address, syscall.Errno(errno))
}

// openControl opens a control at an address, for connections of bytes.
func openControl(address string, flags uint32) (control uint32, err error) {
	protocol, err := protocolFor(address)
	if err != nil {
		return 0, err
	}
	errno := open(protocol, unsafe.Pointer(unsafe.StringData(address)), uint32(len(address)), socketStream, rights,
		rights, flags, unsafe.Pointer(&control))
	return control, fail("open", address, errno)
}

// Listen is net.Listen over the ABI. An address `fd:3` or `fd:NAME` takes a control that the host preopened.
func Listen(address string) (net.Listener, error) {
	var control uint32
	var err error
	if name, preopened := strings.CutPrefix(address, "fd:"); preopened {
		if control, err = find(name); err != nil {
			var number uint64
			if number, err = strconv.ParseUint(name, 10, 32); err != nil {
				return nil, err
			}
			control = uint32(number)
		}
		// Go polls what is non-blocking; a blocking accept would stop every goroutine.
		if err = syscall.SetNonblock(int(control), true); err != nil {
			return nil, err
		}
	} else {
		if control, err = openControl(address, nonblock); err != nil {
			return nil, err
		}
		if err = fail("listen", address, listen(control, 128)); err != nil {
			return nil, err
		}
	}
	file := os.NewFile(uintptr(control), address)
	defer file.Close()
	return net.FileListener(file)
}

// DialContext is net.Dialer's over the ABI. The connect itself waits, and every goroutine with it.
func DialContext(_ context.Context, _, address string) (net.Conn, error) {
	anything := "0.0.0.0:0"
	if strings.HasPrefix(address, "[") {
		anything = "[::]:0"
	}
	control, err := openControl(anything, 0)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(int(control))
	var connection, stream uint32
	errno := connect(control, unsafe.Pointer(unsafe.StringData(address)), uint32(len(address)),
		unsafe.Pointer(&connection))
	if err := fail("connect", address, errno); err != nil {
		return nil, err
	}
	defer syscall.Close(int(connection))
	errno = streamCreate(connection, rights, 0, nonblock, unsafe.Pointer(&stream))
	if err := fail("stream_create", address, errno); err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(stream), address)
	defer file.Close()
	return net.FileConn(file)
}

// Connected gives the connection that the host made and handed over under a name.
func Connected(name string) (net.Conn, error) {
	stream, err := find(name)
	if err != nil {
		return nil, err
	}
	// Go polls what is non-blocking; a blocking read would stop every goroutine.
	if err := syscall.SetNonblock(int(stream), true); err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(stream), name)
	defer file.Close()
	return net.FileConn(file)
}
