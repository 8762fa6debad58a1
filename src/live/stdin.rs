//! The program's own standard input, read by a thread, for the guest that has it.

use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use crossbeam_channel::{Receiver, bounded};

use crate::world::World;

/// Bytes read at once, and pieces that may wait.
const PIECE_BYTES: usize = 16 * 1024;
const PIECES: usize = 4;

/// Input on its way from a thread.
pub struct Stdin {
    pieces: Receiver<Vec<u8>>,
    /// Readable when a piece waits.
    bell: UnixStream,
    ended: bool,
    /// The guest has no room for more.
    full: Option<Vec<u8>>,
}

impl Stdin {
    /// Reads `input` from now on. The thread ends with the input, or with the program.
    ///
    /// # Errors
    /// No thread or no socket to be had.
    pub fn new(mut input: impl Read + Send + 'static) -> std::io::Result<Stdin> {
        let (send, pieces) = bounded(PIECES);
        let (mut ring, bell) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
            loop {
                let mut piece = vec![0; PIECE_BYTES];
                let count = match input.read(&mut piece) {
                    Ok(count) => count,
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                    Err(_) => 0,
                };
                piece.truncate(count);
                if send.send(piece).is_err() || ring.write_all(&[0]).is_err() || count == 0 {
                    return;
                }
            }
        })?;
        Ok(Stdin { pieces, bell, ended: false, full: None })
    }

    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Hands over what has come.
    pub fn feed(&mut self, world: &mut World, guest: usize) {
        let mut bells = [0; 64];
        while matches!(self.bell.read(&mut bells), Ok(count) if count > 0) {}
        while !self.ended {
            if world.stdin_room(guest) < PIECE_BYTES {
                return;
            }
            match self.full.take().or_else(|| self.pieces.try_recv().ok()) {
                Some(piece) if piece.is_empty() => {
                    self.ended = true;
                    world.feed_stdin(guest, None);
                }
                Some(piece) => world.feed_stdin(guest, Some(&piece)),
                None => return,
            }
        }
    }
}

impl AsFd for Stdin {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
