//! One capture for each guest, from one stream of records.

use std::io::{self, Write};

use super::{Record, Session, Sink, Writer};
use crate::time::Instant;

/// The ports of one capture of a [`Fan`], and where it is written to.
#[derive(Debug)]
pub struct Group<W> {
    /// Indices into the whole session's ports; the capture counts them anew, in this order.
    pub ports: Vec<u32>,
    pub out: W,
}

/// Splits a stream of records by port. Packet identities, times and names stay those of the whole
/// session, so that the captures can be laid side by side or merged again.
#[derive(Debug)]
pub struct Fan<W: Write> {
    writers: Vec<Writer<W>>,
    /// For each port of the session: the writers that want it, and its number there.
    targets: Vec<Vec<(usize, u32)>>,
}

impl<W: Write> Fan<W> {
    /// Starts the captures. A group's port that `session` does not have is
    /// [`InvalidInput`](io::ErrorKind::InvalidInput).
    pub fn new(session: &Session, groups: Vec<Group<W>>) -> io::Result<Self> {
        let mut targets = vec![vec![]; session.ports.len()];
        let mut writers = Vec::with_capacity(groups.len());
        for (index, group) in groups.into_iter().enumerate() {
            let mut ports = Vec::with_capacity(group.ports.len());
            for (number, port) in (0..).zip(&group.ports) {
                let (Some(info), Some(wanted)) =
                    (session.ports.get(*port as usize), targets.get_mut(*port as usize))
                else {
                    let message = format!("port {port} is not one of the session's {}", session.ports.len());
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
                };
                ports.push(info.clone());
                wanted.push((index, number));
            }
            writers.push(Writer::new(group.out, &Session { ports, ..session.clone() })?);
        }
        Ok(Self { writers, targets })
    }

    /// Ends all captures and gives the underlying writers back, in the order of the groups.
    pub fn finish(self, at: Instant) -> io::Result<Vec<W>> {
        let finished: Vec<_> = self.writers.into_iter().map(|writer| writer.finish(at)).collect();
        finished.into_iter().collect()
    }
}

/// One capture's error does not keep the others from going on; the first is returned.
impl<W: Write + Send> Sink for Fan<W> {
    fn record(&mut self, record: &Record) -> io::Result<()> {
        let targets = self.targets.get(record.port as usize).into_iter().flatten();
        first_error(targets.map(|&(writer, port)| self.writers[writer].record_as(port, record)))
    }

    fn fills_in_checksums(&self) -> bool {
        true
    }

    /// Into all of them: each may have the packets of a connection.
    fn secrets(&mut self, lines: &str) -> io::Result<()> {
        first_error(self.writers.iter_mut().map(|writer| writer.secrets(lines)))
    }

    fn flush(&mut self) -> io::Result<()> {
        first_error(self.writers.iter_mut().map(Writer::flush))
    }

    fn close(&mut self, at: Instant) -> io::Result<()> {
        first_error(self.writers.iter_mut().map(|writer| writer.close(at)))
    }
}

/// Goes through all results, whatever they are.
fn first_error(results: impl Iterator<Item = io::Result<()>>) -> io::Result<()> {
    let mut first = Ok(());
    for result in results {
        first = first.and(result);
    }
    first
}
