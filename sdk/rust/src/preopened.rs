//! What the host handed over at the start.

use crate::errno::{Errno, Result};
use crate::objects::Protocol;
use crate::raw;

/// Longer names are not found.
const NAME_LEN_MAX: usize = 64;

/// A network object that was there at the start: a protocol object, a control or a connection.
#[derive(Clone, Copy)]
pub struct Preopened {
    fd: u32,
    name: [u8; NAME_LEN_MAX],
    name_len: usize,
}

impl Preopened {
    /// Its descriptor, for the `from_fd` of the type that it is known to be.
    pub fn fd(&self) -> u32 {
        self.fd
    }

    /// The name that the host gave it.
    pub fn name(&self) -> &str {
        core::str::from_utf8(&self.name[..self.name_len]).unwrap_or_default()
    }
}

/// The network objects among the preopened descriptors, in order of their descriptors.
///
/// Descriptors that the guest opened itself are not among them, but one it closed ends the list early, so this is to
/// be asked before anything is closed.
pub fn preopened() -> impl Iterator<Item = Preopened> {
    (3..).map_while(|fd| raw::prestat(fd).ok().map(|prestat| (fd, prestat))).filter_map(|(fd, prestat)| {
        let name_len = prestat.name_len as usize;
        let mut name = [0; NAME_LEN_MAX];
        if prestat.tag != 1 || name_len > NAME_LEN_MAX {
            return None;
        }
        raw::prestat_name(fd, &mut name[..name_len]).ok()?;
        Some(Preopened { fd, name, name_len })
    })
}

impl Protocol {
    /// The protocol object of that name.
    ///
    /// `NOENT` when the host granted none.
    pub fn find(name: &str) -> Result<Protocol> {
        let found = preopened().find(|object| object.name() == name).ok_or(Errno::NOENT)?;
        Ok(Protocol::from_fd(found.fd()))
    }
}
