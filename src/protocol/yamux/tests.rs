//! Two sides in memory, without a stack between them, and sides that hear nonsense.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use ::yamux::{Config, Connection, Mode, Stream};
use futures_io::{AsyncRead, AsyncWrite};
use proptest::prelude::*;

use super::pipe::{Buffers, Pipe};

struct Side {
    pipe: Pipe,
    connection: Connection<Pipe>,
    streams: Vec<Stream>,
}

impl Side {
    fn new(mode: Mode) -> Side {
        let pipe = Pipe::default();
        Side { connection: Connection::new(pipe.clone(), Config::default(), mode), pipe, streams: vec![] }
    }

    /// Has the crate do what it can; false once the session is over.
    fn turn(&mut self) -> bool {
        for _ in 0..100 {
            match self.connection.poll_next_inbound(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Some(Ok(stream))) => self.streams.push(stream),
                Poll::Ready(Some(Err(_)) | None) => return false,
                Poll::Pending => {}
            }
        }
        true
    }

    fn open(&mut self) -> Stream {
        let opened = self.connection.poll_new_outbound(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(Ok(stream)) = opened else { panic!("{opened:?}") };
        stream
    }
}

/// Carries what both have to say until neither has anything; what each said.
fn talk(sides: &mut [Side; 2]) -> [Vec<u8>; 2] {
    let mut said = [vec![], vec![]];
    loop {
        let mut is_quiet = true;
        for (from, to) in [(0, 1), (1, 0)] {
            sides[from].turn();
            let bytes = std::mem::take(&mut sides[from].pipe.lock().outbound);
            is_quiet &= bytes.is_empty();
            said[from].extend_from_slice(&bytes);
            sides[to].pipe.lock().inbound.extend_from_slice(&bytes);
            sides[to].turn();
        }
        if is_quiet {
            return said;
        }
    }
}

fn write(stream: &mut Stream, bytes: &[u8]) -> Option<usize> {
    match Pin::new(stream).poll_write(&mut Context::from_waker(Waker::noop()), bytes) {
        Poll::Ready(Ok(count)) => Some(count),
        // One that was reset takes no more either.
        Poll::Ready(Err(_)) | Poll::Pending => None,
    }
}

fn read(stream: &mut Stream) -> Vec<u8> {
    let (mut all, mut chunk) = (vec![], vec![0; 65536]);
    while let Poll::Ready(Ok(count @ 1..)) =
        Pin::new(&mut *stream).poll_read(&mut Context::from_waker(Waker::noop()), &mut chunk)
    {
        all.extend_from_slice(&chunk[..count]);
    }
    all
}

/// Kind, flags and stream of each frame.
fn frames(mut bytes: &[u8]) -> Vec<(u8, u16, u32)> {
    let mut frames = vec![];
    while let [_, kind, f0, f1, s0, s1, s2, s3, l0, l1, l2, l3, rest @ ..] = bytes {
        let length = u32::from_be_bytes([*l0, *l1, *l2, *l3]) as usize;
        frames.push((*kind, u16::from_be_bytes([*f0, *f1]), u32::from_be_bytes([*s0, *s1, *s2, *s3])));
        bytes = if *kind == 0 { &rest[length..] } else { rest };
    }
    frames
}

#[test]
fn what_is_written_is_read_and_no_clock_is_asked_for() {
    let mut sides = [Side::new(Mode::Client), Side::new(Mode::Server)];
    let mut stream = sides[0].open();
    let mut sent = 0;
    let mut got = vec![];
    let mut said = [vec![], vec![]];
    while got.len() < 2_000_000 {
        while sent < 2_000_000
            && let Some(count) = write(&mut stream, &vec![7; 2_000_000 - sent])
        {
            sent += count;
        }
        for (all, more) in said.iter_mut().zip(talk(&mut sides)) {
            all.extend(more);
        }
        got.extend(read(&mut sides[1].streams[0]));
    }
    assert_eq!((got.len(), got.iter().all(|&byte| byte == 7)), (2_000_000, true));
    let kinds = |side: usize| frames(&said[side]).iter().map(|frame| frame.0).collect::<Vec<_>>();
    // No ping of either side's: the crate's are by the machine's clock.
    assert!(kinds(0).iter().all(|&kind| kind == 0), "{:?}", kinds(0));
    assert!(kinds(1).iter().all(|&kind| kind == 1), "{:?}", kinds(1));
}

/// A ping of the peer's is answered: the specification has it measure with them.
#[test]
fn pings_are_answered() {
    let mut side = Side::new(Mode::Server);
    side.pipe.lock().inbound.extend_from_slice(&[0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9]);
    assert!(side.turn());
    assert_eq!(side.pipe.lock().outbound[..], [0, 2, 0, 2, 0, 0, 0, 0, 0, 0, 0, 9]);
}

#[test]
fn a_pong_that_nobody_asked_for_ends_the_session() {
    let mut side = Side::new(Mode::Server);
    assert!(side.turn());
    side.pipe.lock().inbound.extend_from_slice(&[0, 2, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert!(!side.turn());
}

#[test]
fn a_goodbye_leaves_open_streams_alone() {
    let mut sides = [Side::new(Mode::Client), Side::new(Mode::Server)];
    let mut stream = sides[0].open();
    write(&mut stream, b"first").unwrap();
    talk(&mut sides);
    sides[1].pipe.lock().inbound.extend_from_slice(&[0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert!(sides[1].turn());
    assert_eq!(sides[1].pipe.lock().peer_goes, Some(0));
    write(&mut stream, b" second").unwrap();
    talk(&mut sides);
    assert_eq!(read(&mut sides[1].streams[0]), b"first second");
}

fn header() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![0..100u32, 262_000..263_000u32, any::<u32>()];
    (0..2u8, 0..5u8, 0..32u16, 0..6u32, length).prop_map(|(version, kind, flags, stream, length)| {
        let mut bytes = vec![version / 2, kind];
        bytes.extend(flags.to_be_bytes());
        bytes.extend(stream.to_be_bytes());
        bytes.extend(length.to_be_bytes());
        bytes
    })
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![4 => header(), 1 => prop::collection::vec(any::<u8>(), 0..300)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes, in whatever pieces, there is no panic, and what is kept of it stays within what the peer sent.
    #[test]
    fn nonsense_is_borne(pieces in prop::collection::vec(piece(), 0..60), is_server in any::<bool>()) {
        let mode = if is_server { Mode::Server } else { Mode::Client };
        let mut side = Side::new(mode);
        let mut stream = side.open();
        for bytes in pieces {
            side.pipe.lock().inbound.extend_from_slice(&bytes);
            if !side.turn() {
                break;
            }
            write(&mut stream, b"answer");
            read(&mut stream);
            side.streams.iter_mut().for_each(|stream| drop(read(stream)));
        }
        let Buffers { inbound, outbound, .. } = &*side.pipe.lock();
        prop_assert!(inbound.len() < 60 * 300 && outbound.len() < 256 * 1024);
    }
}
