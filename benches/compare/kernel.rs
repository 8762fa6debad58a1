//! Linux's own TCP over loopback: two threads, blocking, TCP_NODELAY.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

fn listener() -> (TcpListener, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    let address = listener.local_addr().expect("its address");
    (listener, address)
}

/// Seconds for one byte there and back.
pub fn ping_pong(rounds: u64) -> f64 {
    let (listener, address) = listener();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        let mut byte = [0];
        while stream.read(&mut byte).expect("a byte") == 1 {
            stream.write_all(&byte).expect("a byte sent");
        }
    });
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_nodelay(true).expect("TCP_NODELAY");
    let start = Instant::now();
    for _ in 0..rounds {
        exchange(&mut stream);
    }
    let elapsed = start.elapsed();
    drop(stream);
    server.join().expect("the server");
    elapsed.as_secs_f64() / rounds as f64
}

/// Seconds to connect, send a byte each way and close.
pub fn connect(count: u64) -> f64 {
    let (listener, address) = listener();
    let server = thread::spawn(move || {
        for _ in 0..count {
            let (mut stream, _) = listener.accept().expect("a client");
            stream.set_nodelay(true).expect("TCP_NODELAY");
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a byte");
            stream.write_all(&byte).expect("a byte sent");
        }
    });
    let start = Instant::now();
    for _ in 0..count {
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        exchange(&mut stream);
    }
    let elapsed = start.elapsed();
    server.join().expect("the server");
    elapsed.as_secs_f64() / count as f64
}

fn exchange(stream: &mut TcpStream) {
    let mut byte = [1];
    stream.write_all(&byte).expect("a byte sent");
    stream.read_exact(&mut byte).expect("a byte back");
}
