//! Module `networking`: the trait that the witx generates, on the descriptor table and the node.

#![expect(clippy::too_many_arguments, reason = "the ABI decides how many there are")]

use wasmtime_wasi::p1::types::{Errno, Fd};
use wiggle::{GuestMemory, GuestPtr};

use super::effort::Effort;
use super::errno::{errno, of_argument};
use super::rights::Rights;
use super::table::{Network, NetworkKind};
use super::{Context, block};
use crate::error::Error;
use crate::node::{Interest, Node, ObjectId, SocketKind, SocketOption};

wiggle::from_witx!({
    witx: ["witx/networking.witx"],
    async: { networking::{accept, connect, open, stream_create, stream_accept} },
    errors: { errno => trappable Failure },
});

pub use networking as module;
use types::Failure;

impl wiggle::GuestErrorType for types::Errno {
    fn success() -> Self {
        Self::Success
    }
}

impl types::UserErrorConversion for Context {}

impl From<wiggle::GuestError> for Failure {
    fn from(error: wiggle::GuestError) -> Self {
        of_argument(&error).into()
    }
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        let number = u16::from(errno);
        // Both modules number errno alike; a test holds them to it.
        types::Errno::try_from(number).unwrap_or(types::Errno::Io).into()
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        errno(error).into()
    }
}

fn fd(fd: types::Fd) -> Fd {
    Fd::from(u32::from(fd))
}

fn rights(rights: types::Rights) -> Rights {
    Rights::from_networking(rights.bits())
}

/// Longest address that is looked at: more than any kind has, a path or a name with its port.
const ADDRESS_BYTES_MAX: u32 = 4096;

/// An address, whatever it says. `inval` for one that is too long for all of them, before anybody reads it.
fn text<'m>(
    memory: &'m GuestMemory<'_>,
    effort: &mut Effort,
    text: GuestPtr<str>,
) -> Result<std::borrow::Cow<'m, str>, Failure> {
    memory.as_cow(text.as_bytes())?;
    if text.len() > ADDRESS_BYTES_MAX {
        return Err(Errno::Inval.into());
    }
    effort.add(text.len() as usize);
    Ok(memory.as_cow_str(text)?)
}

impl Context {
    /// Where a new descriptor goes, or `mfile` before anything was done.
    fn room(&self) -> Result<(), Failure> {
        if self.table.is_full() { Err(Errno::Mfile.into()) } else { Ok(()) }
    }

    fn insert_from(
        &mut self,
        parent: &Network,
        kind: NetworkKind,
        id: ObjectId,
    ) -> Result<types::Fd, Failure> {
        let (base, inheriting) = (parent.inheriting, parent.inheriting);
        let network = Network { id, kind, base, inheriting, carrier: None, name: None, ..parent.clone() };
        Ok(types::Fd::from(u32::from(self.insert(network)?)))
    }

    fn with_group(
        &mut self,
        memory: &GuestMemory<'_>,
        control: types::Controlfd,
        group: GuestPtr<str>,
        change: impl FnOnce(&mut Node, ObjectId, &str) -> crate::error::Result<()>,
    ) -> Result<(), Failure> {
        let control = self.network(fd(control), NetworkKind::Control)?;
        control.needs(Rights::FD_FDSTAT_SET_FLAGS)?;
        let group = text(memory, &mut self.effort, group)?;
        Ok(change(&mut self.node(), control.id, &group)?)
    }

    fn store(
        &self,
        memory: &mut GuestMemory<'_>,
        bytes: &[u8],
        buffer: GuestPtr<u8>,
        len: types::Size,
    ) -> Result<types::Size, Failure> {
        if bytes.len() > len as usize {
            return Err(types::Errno::Overflow.into());
        }
        memory.copy_from_slice(bytes, buffer.as_array(bytes.len() as u32))?;
        Ok(bytes.len() as types::Size)
    }
}

impl networking::Networking for Context {
    // It bounds what a call has the host copy; nothing here is longer than an address.
    fn set_hostcall_fuel(&mut self, _: usize) {}

    async fn open(
        &mut self,
        memory: &mut GuestMemory<'_>,
        protocol: types::Protocolfd,
        bind: GuestPtr<str>,
        kind: types::Sockettype,
        base: types::Rights,
        inheriting: types::Rights,
        flags: types::Fdflags,
    ) -> Result<types::Controlfd, Failure> {
        let protocol = self.network(fd(protocol), NetworkKind::Protocol)?;
        let bind = text(memory, &mut self.effort, bind)?.into_owned();
        let kind = match kind {
            types::Filetype::SocketStream => SocketKind::Stream,
            types::Filetype::SocketDgram => SocketKind::Datagram,
            types::Filetype::Unknown
            | types::Filetype::BlockDevice
            | types::Filetype::CharacterDevice
            | types::Filetype::Directory
            | types::Filetype::RegularFile
            | types::Filetype::SymbolicLink => return Err(types::Errno::Prototype.into()),
        };
        let (base, inheriting) = (rights(base), rights(inheriting));
        protocol.passes_on(base, inheriting)?;
        self.room()?;
        let id = self.node().open(protocol.id, &bind, kind)?;
        // As binding a name in a file system does, it waits whatever the flags say.
        let opened = |node: &mut Node| node.opened(id);
        if let Err(error) = block(&self.node, &mut self.effort, id, Interest::WRITE, false, opened).await {
            self.node().close(id);
            return Err(error.into());
        }
        let network = Network {
            id,
            kind: NetworkKind::Control,
            base,
            inheriting,
            nonblock: flags.contains(types::Fdflags::NONBLOCK),
            datagram: kind == SocketKind::Datagram,
            carrier: None,
            name: None,
        };
        Ok(types::Fd::from(u32::from(self.insert(network)?)))
    }

    fn listen(
        &mut self,
        _: &mut GuestMemory<'_>,
        control: types::Controlfd,
        backlog: types::Size,
    ) -> Result<(), Failure> {
        let control = self.network(fd(control), NetworkKind::Control)?;
        control.needs(Rights::FD_READ)?;
        Ok(self.node().listen(control.id, backlog as usize)?)
    }

    async fn accept(
        &mut self,
        _: &mut GuestMemory<'_>,
        control: types::Controlfd,
    ) -> Result<types::Connectionfd, Failure> {
        let control = self.network(fd(control), NetworkKind::Control)?;
        control.needs(Rights::FD_READ)?;
        self.room()?;
        let accept = |node: &mut Node| node.accept(control.id);
        let id =
            block(&self.node, &mut self.effort, control.id, Interest::READ, control.nonblock, accept).await?;
        self.insert_from(&control, NetworkKind::Connection, id)
    }

    async fn connect(
        &mut self,
        memory: &mut GuestMemory<'_>,
        control: types::Controlfd,
        address: GuestPtr<str>,
    ) -> Result<types::Connectionfd, Failure> {
        let control = self.network(fd(control), NetworkKind::Control)?;
        control.needs(Rights::FD_WRITE)?;
        let address = text(memory, &mut self.effort, address)?.into_owned();
        self.room()?;
        let nonblock = control.nonblock;
        let connect = |node: &mut Node| match node.connect(control.id, &address) {
            Err(Error::InProgress) if !nonblock => Err(Error::WouldBlock),
            // Whoever does not wait may try again later.
            Err(Error::NameServer) if nonblock => Err(Error::WouldBlock),
            other => other,
        };
        let id = block(&self.node, &mut self.effort, control.id, Interest::WRITE, nonblock, connect).await?;
        self.insert_from(&control, NetworkKind::Connection, id)
    }

    async fn stream_create(
        &mut self,
        _: &mut GuestMemory<'_>,
        connection: types::Connectionfd,
        base: types::Rights,
        inheriting: types::Rights,
        flags: types::Fdflags,
    ) -> Result<types::Streamfd, Failure> {
        let (base, inheriting) = (rights(base), rights(inheriting));
        let nonblock = flags.contains(types::Fdflags::NONBLOCK);
        if self.is_whole(fd(connection)) {
            // Before it is taken apart.
            self.table.any_network(fd(connection))?.passes_on(base, inheriting)?;
        }
        if let Some(stream) =
            self.part(fd(connection), |place| Network { base, inheriting, nonblock, ..place })
        {
            return Ok(types::Fd::from(u32::from(stream?)));
        }
        let connection = self.network(fd(connection), NetworkKind::Connection)?;
        connection.passes_on(base, inheriting)?;
        self.room()?;
        let create = |node: &mut Node| node.stream_create(connection.id);
        let id =
            block(&self.node, &mut self.effort, connection.id, Interest::WRITE, connection.nonblock, create)
                .await?;
        let kind = NetworkKind::Stream;
        let stream = Network { id, kind, base, inheriting, nonblock, name: None, ..connection };
        Ok(types::Fd::from(u32::from(self.insert(stream)?)))
    }

    async fn stream_accept(
        &mut self,
        _: &mut GuestMemory<'_>,
        connection: types::Connectionfd,
    ) -> Result<types::Streamfd, Failure> {
        if let Some(stream) = self.part(fd(connection), |place| Network { base: place.inheriting, ..place }) {
            return Ok(types::Fd::from(u32::from(stream?)));
        }
        let connection = self.network(fd(connection), NetworkKind::Connection)?;
        self.room()?;
        let accept = |node: &mut Node| node.stream_accept(connection.id);
        let id =
            block(&self.node, &mut self.effort, connection.id, Interest::READ, connection.nonblock, accept)
                .await?;
        self.insert_from(&connection, NetworkKind::Stream, id)
    }

    fn local_address(
        &mut self,
        memory: &mut GuestMemory<'_>,
        descriptor: types::Fd,
        buffer: GuestPtr<u8>,
        len: types::Size,
    ) -> Result<types::Size, Failure> {
        let id = self.table.any_network(fd(descriptor))?.id;
        let address = self.node().local_address(id)?;
        self.store(memory, address.as_bytes(), buffer, len)
    }

    fn peer_address(
        &mut self,
        memory: &mut GuestMemory<'_>,
        descriptor: types::Fd,
        buffer: GuestPtr<u8>,
        len: types::Size,
    ) -> Result<types::Size, Failure> {
        let id = self.table.any_network(fd(descriptor))?.id;
        let address = self.node().peer_address(id)?;
        self.store(memory, address.as_bytes(), buffer, len)
    }

    fn application_protocol(
        &mut self,
        memory: &mut GuestMemory<'_>,
        descriptor: types::Fd,
        buffer: GuestPtr<u8>,
        len: types::Size,
    ) -> Result<types::Size, Failure> {
        let id = self.table.any_network(fd(descriptor))?.id;
        let protocol = self.node().application_protocol(id)?;
        self.store(memory, &protocol, buffer, len)
    }

    fn group_join(
        &mut self,
        memory: &mut GuestMemory<'_>,
        control: types::Controlfd,
        group: GuestPtr<str>,
    ) -> Result<(), Failure> {
        self.with_group(memory, control, group, Node::join_group)
    }

    fn group_leave(
        &mut self,
        memory: &mut GuestMemory<'_>,
        control: types::Controlfd,
        group: GuestPtr<str>,
    ) -> Result<(), Failure> {
        self.with_group(memory, control, group, Node::leave_group)
    }

    fn option_get(
        &mut self,
        _: &mut GuestMemory<'_>,
        descriptor: types::Fd,
        option: types::SocketOption,
    ) -> Result<types::SocketOptionValue, Failure> {
        let network = self.table.any_network(fd(descriptor))?;
        network.needs(Rights::FD_FILESTAT_GET)?;
        let id = network.id;
        Ok(self.node().option(id, option.into())?)
    }

    fn option_set(
        &mut self,
        _: &mut GuestMemory<'_>,
        descriptor: types::Fd,
        option: types::SocketOption,
        value: types::SocketOptionValue,
    ) -> Result<(), Failure> {
        let network = self.table.any_network(fd(descriptor))?;
        network.needs(Rights::FD_FDSTAT_SET_FLAGS)?;
        let id = network.id;
        Ok(self.node().set_option(id, option.into(), value)?)
    }
}

impl From<types::SocketOption> for SocketOption {
    fn from(option: types::SocketOption) -> Self {
        match option {
            types::SocketOption::NoDelay => SocketOption::NoDelay,
            types::SocketOption::KeepAlive => SocketOption::KeepAlive,
            types::SocketOption::HopLimit => SocketOption::HopLimit,
            types::SocketOption::ReceiveBuffer => SocketOption::ReceiveBuffer,
            types::SocketOption::SendBuffer => SocketOption::SendBuffer,
            types::SocketOption::Linger => SocketOption::Linger,
            types::SocketOption::Unidirectional => SocketOption::Unidirectional,
            types::SocketOption::GroupHopLimit => SocketOption::GroupHopLimit,
            types::SocketOption::GroupLoop => SocketOption::GroupLoop,
        }
    }
}
